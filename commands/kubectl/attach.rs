//! `kubectl attach`: the streams of a container's own program, until it ends.

use std::io::IsTerminal;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::Value;

use super::exec;
use super::session::Session;
use super::streams::Streams;
use super::terminal::RawTerminal;
use crate::exit::Outcome;
use crate::kubernetes::{kubectl_failure, list, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Attach {
    #[command(flatten)]
    streams: Streams,
    /// Only print output from the container
    #[arg(short, long)]
    quiet: bool,
}

impl Attach {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let (pod, container) = self.streams.find(session).await?;
        let own = own_tty(&pod, &container);
        if self.streams.tty && !own {
            output::progress(&format!(
                "error: Unable to use a TTY - container {container} did not allocate one"
            ));
        }
        let tty = self.streams.tty && own && std::io::stdin().is_terminal();
        if !self.quiet {
            output::progress("If you don't see a command prompt, try pressing enter.");
        }
        let parameters = AttachParams {
            container: Some(container),
            stdin: self.streams.stdin,
            stdout: true,
            // A terminal has one stream.
            stderr: !own,
            tty: own,
            ..AttachParams::default()
        };
        let api: Api<Pod> =
            Api::namespaced(session.cluster.client.clone(), text(&pod, "/metadata/namespace"));
        let process = api.attach(text(&pod, "/metadata/name"), &parameters).await.map_err(kubectl_failure)?;
        let raw = if tty { Some(RawTerminal::enter()?) } else { None };
        let status = exec::attach(process, tty).await;
        drop(raw);
        exec::exit_code(status?)
    }
}

/// Whether the container's program runs on a terminal.
fn own_tty(pod: &Value, container: &str) -> bool {
    let containers = ["/spec/containers", "/spec/initContainers"].into_iter().flat_map(|at| list(pod, at));
    containers.into_iter().any(|one| text(one, "/name") == container && one["tty"] == true)
}
