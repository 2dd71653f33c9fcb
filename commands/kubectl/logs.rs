//! `kubectl logs`: of a pod, of the pods of a workload, or of a selector.

use clap::Args;
use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use serde_json::Value;

use super::pods;
use super::session::{Session, error};
use crate::cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, kubectl_failure, text, with_query};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Pod, type/name, or nothing with -l
    #[arg(value_name = "POD | TYPE/NAME")]
    target: Option<String>,
    /// The container, when it is not named by -c
    container_argument: Option<String>,
    /// Container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Go on as lines come
    #[arg(short, long)]
    follow: bool,
    /// The run before the last restart
    #[arg(short, long)]
    previous: bool,
    /// Lines from the end; -1 is all. With -l the default is 10
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only lines of this last while
    #[arg(long, value_name = "DURATION", value_parser = cli::duration)]
    since: Option<std::time::Duration>,
    /// Only lines since this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "since")]
    since_time: Option<jiff::Timestamp>,
    /// Most bytes of each log
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    limit_bytes: Option<u64>,
    /// Most logs to follow at once
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    max_log_requests: u32,
    /// Go on with the other logs when one cannot be read
    #[arg(long)]
    ignore_errors: bool,
    /// The time before each line
    #[arg(long)]
    timestamps: bool,
    /// Label selector
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Every container of the pod
    #[arg(long)]
    all_containers: bool,
    /// Pod and container before each line
    #[arg(long)]
    prefix: bool,
}

impl Logs {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let chosen = match (&self.target, &self.selector) {
            (Some(_), Some(_)) => return Err(error("only a selector (-l) or a POD name is allowed")),
            (Some(name), None) => vec![pods::first(&pods::named(session, name).await?, name)?],
            (None, Some(selector)) => pods::selected(session, selector).await?,
            (None, None) => {
                return Err(error(
                    "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command",
                ));
            }
        };
        if chosen.is_empty() {
            output::progress(&format!("No resources found in {} namespace.", session.namespace));
            return Ok(Exit::Success);
        }
        let mut sources = Vec::new();
        for pod in &chosen {
            sources.extend(self.containers(pod)?.into_iter().map(|container| (pod, container)));
        }
        if self.follow && sources.len() > self.max_log_requests as usize {
            return Err(error(format!(
                "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, use --max-log-requests to increase the limit",
                sources.len(),
                self.max_log_requests
            )));
        }
        let streams = sources.into_iter().map(|(pod, container)| self.stream(session, pod, container));
        if self.follow {
            futures::future::try_join_all(streams).await?;
        } else {
            for stream in streams {
                stream.await?;
            }
        }
        Ok(Exit::Success)
    }

    fn containers(&self, pod: &Value) -> Result<Vec<String>, Failure> {
        if self.all_containers {
            let lists = ["/spec/initContainers", "/spec/containers"];
            let names =
                lists.into_iter().filter_map(|list| pod.pointer(list).and_then(Value::as_array)).flatten();
            return Ok(names.map(|container| text(container, "/name").to_owned()).collect());
        }
        let wanted = self.container.as_deref().or(self.container_argument.as_deref());
        Ok(vec![pods::container(pod, wanted)?])
    }

    /// Prints one log; what went wrong is told, and forgiven where that is wanted.
    async fn stream(&self, session: &Session, pod: &Value, container: String) -> Result<(), Failure> {
        match self.print(session, pod, container).await {
            Err(failure) if self.ignore_errors => {
                output::progress(&format!("error: {:#}", failure.error));
                Ok(())
            }
            done => done,
        }
    }

    async fn print(&self, session: &Session, pod: &Value, container: String) -> Result<(), Failure> {
        let name = text(pod, "/metadata/name");
        let tail = self.tail.or(self.selector.is_some().then_some(10)).filter(|lines| *lines >= 0);
        let tail = tail.map(|lines| lines.to_string()).unwrap_or_default();
        let since = self.since.map(|since| since.as_secs().max(1).to_string()).unwrap_or_default();
        let since_time = self.since_time.map(|time| time.to_string()).unwrap_or_default();
        let limit = self.limit_bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        let flag = |on: bool| if on { "true" } else { "" };
        let path = with_query(
            format!("{}/log", Resource::pods().object(Some(text(pod, "/metadata/namespace")), name)),
            &[
                ("container", &container),
                ("follow", flag(self.follow)),
                ("previous", flag(self.previous)),
                ("timestamps", flag(self.timestamps)),
                ("tailLines", &tail),
                ("sinceSeconds", &since),
                ("sinceTime", &since_time),
                ("limitBytes", &limit),
            ],
        );
        let request = Request::get(path).body(Vec::new())?;
        let stream = session.cluster.client.request_stream(request).await.map_err(kubectl_failure)?;
        let mut lines = std::pin::pin!(stream.lines());
        let prefix = if self.prefix { format!("[pod/{name}/{container}] ") } else { String::new() };
        while let Some(line) = lines.try_next().await? {
            output::line(&format!("{prefix}{line}"));
        }
        Ok(())
    }
}

/// A time as RFC 3339 has it.
fn time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|_| format!("{text:?} is no time; write it as 2026-01-31T13:45:00Z"))
}
