//! One step at a time: from its source, in pieces, into its file.

use futures::AsyncBufReadExt;
use http::{Request, header};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::super::logs::{Importance, stamped};
use super::super::redact;
use super::super::step::{Source, Step};
use super::Collector;
use super::sink::Sink;
use crate::exit::Failure;
use crate::kubernetes::{Objects, PodName, Resource, http_pieces, server_failure, with_query};
use crate::output::Table;

/// Objects of a page.
const PAGE: &str = "250";
/// What the API server is asked for tables with.
const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// Longest line of a log; longer ones are broken.
const LINE: usize = 64 * 1024;
/// Where proxies leave core dumps.
const CORE_FOLDER: &str = "/var/lib/istio";

impl Collector<'_> {
    pub(super) async fn step(&self, step: &Step) -> Result<(), Failure> {
        let file = &step.file;
        if let Source::Cores { pod, container } = &step.source {
            return self.in_time(self.cores(file, pod, container)).await;
        }
        let mut sink = self.open()?;
        let mut importance = None;
        let done = self.in_time(self.fill(&step.source, &mut sink, &mut importance)).await;
        // What came before a failure is worth something too.
        self.keep(file, sink, importance)?;
        done
    }

    async fn fill(
        &self,
        source: &Source,
        sink: &mut Sink<'_>,
        importance: &mut Option<Importance>,
    ) -> Result<(), Failure> {
        match source {
            Source::Text(text) => Ok(sink.take(text.as_bytes())?),
            Source::Document { path } => self.document(path, sink).await,
            Source::Objects { resources, full_secrets } => self.objects(resources, *full_secrets, sink).await,
            Source::Table { resource } => self.table(resource, sink).await,
            Source::Http { pod, port, path } => {
                http_pieces(&self.client, pod, *port, path, |piece| sink.take(piece)).await
            }
            Source::Log { pod, container, previous } => {
                let seen = importance.insert(Importance::default());
                self.log_of(pod, container, *previous, sink, seen).await
            }
            Source::Exec { pod, container, programs } => self.first_of(pod, container, programs, sink).await,
            Source::Cores { .. } => Ok(()),
        }
    }

    async fn document(&self, path: &str, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let answer = Objects::new(self.client.clone()).get_path(path, None).await.map_err(server_failure)?;
        sink.take(crate::output::to_yaml(&answer)?.as_bytes())?;
        Ok(())
    }

    /// A `List` of all objects of all types; a type that cannot be read is noted.
    async fn objects(
        &self,
        resources: &[Resource],
        full_secrets: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), Failure> {
        sink.take(b"apiVersion: v1\nkind: List\nitems:\n")?;
        for resource in resources {
            if let Err(failure) = self.pages(resource, full_secrets, sink).await {
                self.failed(&format!("list of {}", resource.qualified()), &failure);
            }
        }
        Ok(())
    }

    async fn pages(
        &self,
        resource: &Resource,
        full_secrets: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), Failure> {
        let objects = Objects::new(self.client.clone());
        let mut next = String::new();
        while !sink.is_full() {
            let path = with_query(resource.collection(None), &[("limit", PAGE), ("continue", &next)]);
            let mut page = objects.get_path(&path, None).await.map_err(server_failure)?;
            for mut item in page["items"].as_array_mut().map(std::mem::take).unwrap_or_default() {
                // Lists leave out what every item has in common.
                item["apiVersion"] = json!(resource.api_version());
                item["kind"] = json!(resource.kind);
                redact::noise(&mut item);
                if resource.kind == "Secret" && !full_secrets {
                    redact::secret(&mut item);
                }
                sink.take(sagene_api::yaml::to_text(&[item])?.as_bytes())?;
            }
            page.pointer("/metadata/continue")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .clone_into(&mut next);
            if next.is_empty() {
                break;
            }
        }
        Ok(())
    }

    async fn table(&self, resource: &Resource, sink: &mut Sink<'_>) -> Result<(), Failure> {
        let objects = Objects::new(self.client.clone());
        let path = resource.collection(None);
        let answer = objects.get_path(&path, Some(AS_TABLE)).await.map_err(server_failure)?;
        let columns = answer["columnDefinitions"].as_array().cloned().unwrap_or_default();
        let names = columns.iter().map(|column| column["name"].as_str().unwrap_or_default().to_uppercase());
        let mut table = Table::new(std::iter::once("NAMESPACE".to_owned()).chain(names), 3);
        for row in answer["rows"].as_array().into_iter().flatten() {
            let namespace =
                row.pointer("/object/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            let cells = row["cells"].as_array().into_iter().flatten().map(|cell| match cell {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            table.row(std::iter::once(namespace.to_owned()).chain(cells));
        }
        sink.take(table.render().as_bytes())?;
        Ok(())
    }

    async fn log_of(
        &self,
        pod: &PodName,
        container: &str,
        previous: bool,
        sink: &mut Sink<'_>,
        importance: &mut Importance,
    ) -> Result<(), Failure> {
        let settings = self.settings;
        let tail = if settings.tail > 0 { settings.tail.to_string() } else { String::new() };
        let flag = |on: bool| if on { "true" } else { "" };
        let path = with_query(
            format!("{}/log", Resource::pods().object(Some(&pod.namespace), &pod.name)),
            &[
                ("container", container),
                ("previous", flag(previous)),
                ("tailLines", &tail),
                ("sinceTime", &settings.start.map(|time| time.to_string()).unwrap_or_default()),
                ("timestamps", flag(settings.end.is_some())),
            ],
        );
        let request = Request::get(path).header(header::ACCEPT, "*/*").body(Vec::new())?;
        let stream = self.client.request_stream(request).await.map_err(server_failure)?;
        let mut stream = std::pin::pin!(stream);
        let mut line: Vec<u8> = Vec::new();
        loop {
            let piece = stream.fill_buf().await?;
            let ended = piece.is_empty();
            let end = piece.iter().position(|byte| *byte == b'\n').map_or(piece.len(), |at| at + 1);
            line.extend_from_slice(&piece[..end]);
            stream.consume_unpin(end);
            if !ended && line.last() != Some(&b'\n') && line.len() < LINE {
                continue;
            }
            if !self.log_line(&line, sink, importance)? || ended || sink.is_full() {
                return Ok(());
            }
            line.clear();
        }
    }

    /// Takes a line; `false` when it is later than what was asked for.
    fn log_line(
        &self,
        line: &[u8],
        sink: &mut Sink<'_>,
        importance: &mut Importance,
    ) -> Result<bool, Failure> {
        let text = String::from_utf8_lossy(line);
        let (time, text) = match self.settings.end {
            Some(_) => stamped(&text),
            None => (None, &*text),
        };
        if time.zip(self.settings.end).is_some_and(|(time, end)| time > end) {
            return Ok(false);
        }
        importance.see(text, self.settings);
        sink.take(text.as_bytes())?;
        Ok(true)
    }

    /// The output of the first program that the container has.
    async fn first_of(
        &self,
        pod: &PodName,
        container: &str,
        programs: &[Vec<String>],
        sink: &mut Sink<'_>,
    ) -> Result<(), Failure> {
        let mut last = Failure::new("no program to run");
        for program in programs {
            match self.exec(pod, container, program, sink).await {
                Ok(()) => return Ok(()),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn exec(
        &self,
        pod: &PodName,
        container: &str,
        program: &[String],
        sink: &mut Sink<'_>,
    ) -> Result<(), Failure> {
        let parameters = AttachParams::default().container(container).stdin(false).stderr(false);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let mut process = pods.exec(&pod.name, program, &parameters).await.map_err(server_failure)?;
        let status = process.take_status();
        if let Some(mut stdout) = process.stdout() {
            let mut buffer = vec![0u8; 16 * 1024];
            loop {
                let read = stdout.read(&mut buffer).await?;
                if read == 0 || sink.is_full() {
                    break;
                }
                sink.take(&buffer[..read])?;
            }
        }
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        match status {
            Some(status) if status.status.as_deref() == Some("Failure") => {
                Err(Failure::new(status.message.unwrap_or_else(|| format!("{} failed", program.join(" ")))))
            }
            _ => Ok(()),
        }
    }

    /// Every core dump of a container, each in a file of its own.
    async fn cores(&self, folder: &str, pod: &PodName, container: &str) -> Result<(), Failure> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let mut list = self.open()?;
        let find = words(&["find", CORE_FOLDER, "-maxdepth", "2", "-type", "f", "-name", "core*"]);
        let found = self.exec(pod, container, &find, &mut list).await;
        let (path, _) = list.close()?;
        let names = std::fs::read_to_string(&path)?;
        std::fs::remove_file(&path)?;
        found?;
        for name in names.lines().filter(|name| name.starts_with(CORE_FOLDER)) {
            let short = name.rsplit('/').next().unwrap_or(name);
            let file = format!("{folder}/{short}");
            let mut sink = self.open()?;
            self.exec(pod, container, &words(&["cat", name]), &mut sink).await?;
            self.keep(&file, sink, None)?;
        }
        Ok(())
    }
}
