//! `kubectl run`: a pod from an image and a command line; with `-i` it is attached to.

use std::time::Duration;

use clap::Args;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::{Value, json};

use super::exec;
use super::session::{Session, error};
use super::written;
use crate::cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Event, Resource, kubectl_failure, text, watch};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Name of the pod
    name: String,
    /// Image of its container
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// When it is started again: Always, OnFailure, Never
    #[arg(long, value_name = "WHEN", default_value = "Always", value_parser = ["Always", "OnFailure", "Never"])]
    restart: String,
    /// Environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Labels, by comma; without it `run=NAME`
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ',')]
    labels: Vec<String>,
    /// Annotations; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    annotations: Vec<String>,
    /// Port that the container listens on
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Always, IfNotPresent, Never
    #[arg(long, value_name = "WHEN", value_parser = ["Always", "IfNotPresent", "Never"])]
    image_pull_policy: Option<String>,
    /// JSON that is merged into the pod
    #[arg(long, value_name = "JSON")]
    overrides: Option<String>,
    /// What follows -- is the container's command, not its arguments
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    command: bool,
    /// Pass stdin and show what it prints
    #[arg(short = 'i', long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    stdin: bool,
    /// Stdin is a terminal
    #[arg(short, long)]
    tty: bool,
    /// Show what it prints; so with -i
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    attach: bool,
    /// Delete the pod when it has ended; needs -i or --attach
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    rm: bool,
    /// Print nothing of its own
    #[arg(short, long)]
    quiet: bool,
    /// How long to wait until it runs
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = cli::duration)]
    pod_running_timeout: Duration,
    /// Print or check, but do not create: none, client, server
    #[arg(long, default_value = "none", value_parser = ["none", "client", "server"])]
    dry_run: String,
    /// Print the object: yaml, json, name
    #[arg(short, long, value_parser = ["yaml", "json", "name"])]
    output: Option<String>,
    /// Arguments of the container
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Run {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let attached = self.stdin || self.attach || self.tty;
        if self.rm && !attached {
            return Err(error("--rm should only be used for attached containers"));
        }
        let pods = Resource::pods();
        let namespace = Some(session.namespace.as_str());
        let mut pod = self.pod(&session.namespace)?;
        if self.dry_run != "client" {
            let answer = session.objects.create(&pods, namespace, &pod, self.dry_run == "server").await;
            pod = answer.map_err(kubectl_failure)?;
        }
        if !attached || self.dry_run != "none" {
            self.print(&pod)?;
            return Ok(Exit::Success);
        }
        let outcome = self.follow(session).await;
        if self.rm {
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
            let deleted = session.objects.delete(&pods, namespace, &self.name, &options).await;
            deleted.map_err(kubectl_failure)?;
            if !self.quiet {
                output::line(&format!("pod \"{}\" deleted from {} namespace", self.name, session.namespace));
            }
        }
        outcome
    }

    fn pod(&self, namespace: &str) -> Result<Value, Failure> {
        let mut labels = pairs(&self.labels)?;
        if self.labels.is_empty() {
            labels["run"] = json!(self.name);
        }
        let environment = self.env.iter().map(|pair| {
            let pair = pair.split_once('=').filter(|(name, _)| !name.is_empty());
            pair.map(|(name, value)| json!({"name": name, "value": value}))
                .ok_or_else(|| error("env must be NAME=VALUE"))
        });
        let environment = environment.collect::<Result<Vec<Value>, Failure>>()?;
        let mut container = json!({"name": self.name, "image": self.image, "resources": {}});
        if !environment.is_empty() {
            container["env"] = json!(environment);
        }
        if let Some(port) = self.port {
            container["ports"] = json!([{"containerPort": port}]);
        }
        if let Some(policy) = &self.image_pull_policy {
            container["imagePullPolicy"] = json!(policy);
        }
        if !self.arguments.is_empty() {
            container[if self.command { "command" } else { "args" }] = json!(self.arguments);
        }
        if self.stdin {
            container["stdin"] = json!(true);
            container["stdinOnce"] = json!(true);
        }
        if self.tty {
            container["tty"] = json!(true);
        }
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": namespace, "labels": labels},
            "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": self.restart},
        });
        if !self.annotations.is_empty() {
            pod["metadata"]["annotations"] = pairs(&self.annotations)?;
        }
        if let Some(overrides) = &self.overrides {
            let overrides: Value = sagene_api::yaml::value(overrides)
                .map_err(|cause| error(format!("Invalid JSON Patch: --overrides: {cause}")))?;
            merge(&mut pod, &overrides);
        }
        Ok(pod)
    }

    /// Waits until the pod runs or has run, shows what it prints, and takes over its exit code.
    async fn follow(&self, session: &Session) -> Outcome {
        let late = |_| error("timed out waiting for the condition");
        let started = tokio::time::timeout(self.pod_running_timeout, self.until(session, started));
        let pod = started.await.map_err(late)??;
        if text(&pod, "/status/phase") == "Running" {
            if !self.quiet && self.stdin {
                output::progress("If you don't see a command prompt, try pressing enter.");
            }
            let parameters = AttachParams {
                container: Some(self.name.clone()),
                stdin: self.stdin,
                stdout: true,
                stderr: true,
                ..AttachParams::default()
            };
            let api: Api<Pod> = Api::namespaced(session.cluster.client.clone(), &session.namespace);
            match api.attach(&self.name, &parameters).await {
                Ok(process) => drop(exec::attach(process, false).await?),
                // It ended in between.
                Err(_) => self.logs(session).await?,
            }
        } else {
            self.logs(session).await?;
        }
        if self.restart == "Always" {
            return Ok(Exit::Success);
        }
        let over = tokio::time::timeout(self.pod_running_timeout, self.until(session, ended));
        let Ok(Ok(pod)) = over.await else { return Ok(Exit::Success) };
        let code =
            own_status(&pod, &self.name).and_then(|status| status.pointer("/state/terminated/exitCode"));
        match code.and_then(Value::as_u64).and_then(|code| u8::try_from(code).ok()) {
            None | Some(0) => Ok(Exit::Success),
            Some(code) => {
                output::progress(&format!("pod {}/{} terminated (Error)", session.namespace, self.name));
                Ok(Exit::Program(code))
            }
        }
    }

    async fn logs(&self, session: &Session) -> Result<(), Failure> {
        let path = format!(
            "{}/log?container={}",
            Resource::pods().object(Some(&session.namespace), &self.name),
            self.name
        );
        let request = http::Request::get(path).body(Vec::new())?;
        let text = session.cluster.client.request_text(request).await.map_err(kubectl_failure)?;
        output::data(&text);
        Ok(())
    }

    async fn until(&self, session: &Session, met: fn(&Value, &str) -> bool) -> Result<Value, Failure> {
        let fields = format!("metadata.name={}", self.name);
        let namespace = Some(session.namespace.as_str());
        let mut events = watch(&session.cluster.client, &Resource::pods(), namespace, "", &fields);
        while let Some(event) = events.next().await {
            match event.map_err(kubectl_failure)? {
                Event::Applied(pod) if met(&pod, &self.name) => return Ok(pod),
                Event::Applied(_) => {}
                Event::Deleted(_) => return Err(error("object has been deleted")),
            }
        }
        Err(error("the server ended the watch"))
    }

    fn print(&self, pod: &Value) -> Result<(), Failure> {
        let what = format!("created{}", written::dry_run(&self.dry_run));
        written::tell(self.output.as_deref(), pod, &format!("pod/{}", self.name), &what)
    }
}

fn own_status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    pod.pointer("/status/containerStatuses")?.as_array()?.iter().find(|status| status["name"] == container)
}

fn started(pod: &Value, container: &str) -> bool {
    let state = own_status(pod, container).map(|status| &status["state"]);
    state.is_some_and(|state| state.get("running").is_some()) || ended(pod, container)
}

fn ended(pod: &Value, container: &str) -> bool {
    let over = own_status(pod, container).is_some_and(|status| status["state"].get("terminated").is_some());
    over || matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

fn pairs(texts: &[String]) -> Result<Value, Failure> {
    let pair = |text: &String| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        pair.map(|(name, value)| (name.to_owned(), json!(value)))
            .ok_or_else(|| error(format!("unexpected pair {text:?}: write NAME=VALUE")))
    };
    Ok(Value::Object(texts.iter().map(pair).collect::<Result<_, _>>()?))
}

/// JSON merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|fields| fields.remove(name));
        } else {
            merge(&mut target[name], value);
        }
    }
}
