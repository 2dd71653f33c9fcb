//! `kubectl drain`: lets no new pods onto nodes, and evicts those that are there.

mod choice;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cordon;
use super::flags;
use super::session::{Session, error};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, is_not_found, kubectl_failure, text, with_query};
use crate::output;
use choice::{Choice, Rules};

/// Before a pod that a disruption budget needs is asked for again, as kubectl does.
const RETRY: Duration = Duration::from_secs(5);
/// Between two looks whether a pod has gone.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The nodes
    #[arg(value_name = "NODE", required_unless_present = "selector")]
    nodes: Vec<String>,
    /// Nodes by label selector
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    #[command(flatten)]
    rules: Rules,
    /// Only pods with these labels
    #[arg(long, value_name = "SELECTOR", default_value = "")]
    pod_selector: String,
    /// Seconds that pods get to end; negative: their own
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = -1)]
    grace_period: i64,
    /// The longest wait for everything; 0 is for ever
    #[arg(long, value_name = "DURATION", value_parser = flags::timeout, default_value = "0s")]
    timeout: Duration,
    /// Delete pods, past disruption budgets
    #[arg(long)]
    disable_eviction: bool,
    /// none, or client: say what would be done
    #[arg(long, value_name = "WHAT", default_value = "none", value_parser = ["none", "client"])]
    dry_run: String,
}

impl Drain {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let deadline = Some(self.timeout).filter(|timeout| !timeout.is_zero()).map(|it| Instant::now() + it);
        let nodes = self.names(session).await?;
        for node in &nodes {
            if self.dry_run == "none" {
                cordon::set(session, node, true).await?;
            } else {
                output::line(&format!("node/{node} cordoned (dry run)"));
            }
        }
        let mut left = Vec::new();
        for node in nodes {
            match self.drain(session, &node, deadline).await {
                Ok(()) if self.dry_run == "none" => output::line(&format!("node/{node} drained")),
                Ok(()) => output::line(&format!("node/{node} drained (dry run)")),
                Err(failure) => left.push((node, failure)),
            }
        }
        let names: Vec<&str> = left.iter().map(|(node, _)| node.as_str()).collect();
        let pending = format!("pending nodes to be drained: {}", names.join(", "));
        match left.into_iter().next() {
            None => Ok(Exit::Success),
            Some((node, failure)) => {
                output::progress(&pending);
                Err(failure.context(format!("unable to drain node {node:?}")))
            }
        }
    }

    async fn names(&self, session: &Session) -> Result<Vec<String>, Failure> {
        let Some(selector) = &self.selector else { return Ok(self.nodes.clone()) };
        let nodes = session.objects.list(&cordon::nodes(), None, selector).await.map_err(kubectl_failure)?;
        Ok(nodes.iter().map(|node| text(node, "/metadata/name").to_owned()).collect())
    }

    async fn drain(&self, session: &Session, node: &str, deadline: Option<Instant>) -> Result<(), Failure> {
        let on_node = format!("spec.nodeName={node}");
        let selectors = [("fieldSelector", on_node.as_str()), ("labelSelector", self.pod_selector.as_str())];
        let path = with_query(Resource::pods().collection(None), &selectors);
        let list = session.objects.get_path(&path, None).await.map_err(kubectl_failure)?;
        let pods = list["items"].as_array().cloned().unwrap_or_default();
        let Choice { going, ignored, refused } = self.rules.choose(pods);
        if !refused.is_empty() {
            return Err(error(refused.join(", ")));
        }
        if !ignored.is_empty() {
            output::progress(&format!("Warning: {}", ignored.join("; ")));
        }
        let word = if self.disable_eviction { "deleting" } else { "evicting" };
        for pod in &going {
            let (namespace, name) = names(pod);
            if self.dry_run == "none" {
                output::progress(&format!("{word} pod {namespace}/{name}"));
            } else {
                output::line(&format!("{word} pod {namespace}/{name} (dry run)"));
            }
        }
        if self.dry_run != "none" {
            return Ok(());
        }
        let each = going.iter().map(|pod| self.end(session, pod, deadline));
        for ended in futures::future::join_all(each).await {
            ended?;
        }
        Ok(())
    }

    /// Asks for a pod to end, as long as a disruption budget needs it, and waits until it has.
    async fn end(&self, session: &Session, pod: &Value, deadline: Option<Instant>) -> Result<(), Failure> {
        let (namespace, name) = names(pod);
        while let Err(refusal) = self.ask(session, pod).await {
            let why = match &refusal {
                gone if is_not_found(gone) => break,
                kube::Error::Api(status) if status.code == 429 => status.message.clone(),
                _ => return Err(kubectl_failure(refusal)),
            };
            output::progress(&format!(
                "error when evicting pods/{name:?} -n {namespace:?} (will retry after 5s): {why}"
            ));
            in_time(deadline, name)?;
            tokio::time::sleep(RETRY).await;
        }
        while self.is_there(session, pod).await? {
            in_time(deadline, name)?;
            tokio::time::sleep(LOOK).await;
        }
        output::line(&format!("pod/{name} {}", if self.disable_eviction { "deleted" } else { "evicted" }));
        Ok(())
    }

    async fn ask(&self, session: &Session, pod: &Value) -> Result<(), kube::Error> {
        let (namespace, name) = names(pod);
        let path = Resource::pods().object(Some(namespace), name);
        let grace = Some(self.grace_period).filter(|seconds| *seconds >= 0);
        if self.disable_eviction {
            let query = grace.map(|seconds| format!("?gracePeriodSeconds={seconds}")).unwrap_or_default();
            let request = http::Request::delete(format!("{path}{query}")).body(Vec::new());
            let request = request.map_err(kube::Error::HttpError)?;
            return session.cluster.client.request::<Value>(request).await.map(drop);
        }
        let mut eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name}});
        if let Some(seconds) = grace {
            eviction["deleteOptions"] = json!({"gracePeriodSeconds": seconds});
        }
        session.objects.post_path(&format!("{path}/eviction"), &eviction).await.map(drop)
    }

    /// Whether this very pod is there: another one may have its name, as with StatefulSets.
    async fn is_there(&self, session: &Session, pod: &Value) -> Result<bool, Failure> {
        let (namespace, name) = names(pod);
        let path = Resource::pods().object(Some(namespace), name);
        match session.objects.get_path(&path, None).await {
            Ok(now) => Ok(now["metadata"]["uid"] == pod["metadata"]["uid"]),
            Err(gone) if is_not_found(&gone) => Ok(false),
            Err(failure) => Err(kubectl_failure(failure)),
        }
    }
}

fn names(pod: &Value) -> (&str, &str) {
    (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"))
}

fn in_time(deadline: Option<Instant>, pod: &str) -> Result<(), Failure> {
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
        return Err(error(format!("pod {pod} did not end in time: global timeout reached")));
    }
    Ok(())
}
