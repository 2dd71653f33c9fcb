//! `kubectl exec`: runs a program in a container; its exit code becomes ours.

use std::io::IsTerminal;

use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::session::{Session, error};
use super::streams::Streams;
use super::terminal::RawTerminal;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{kubectl_failure, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct Exec {
    #[command(flatten)]
    streams: Streams,
    /// Program and arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let (pod, container) = self.streams.find(session).await?;
        let tty = self.streams.tty && std::io::stdin().is_terminal();
        if self.streams.tty && !tty {
            output::progress("Unable to use a TTY - input is not a terminal or the right kind of file");
        }
        let parameters = AttachParams {
            container: Some(container),
            stdin: self.streams.stdin,
            stdout: true,
            stderr: !tty,
            tty,
            ..AttachParams::default()
        };
        let api: Api<Pod> =
            Api::namespaced(session.cluster.client.clone(), text(&pod, "/metadata/namespace"));
        let name = text(&pod, "/metadata/name");
        let process = api.exec(name, &self.command, &parameters).await.map_err(kubectl_failure)?;
        let raw = if tty { Some(RawTerminal::enter()?) } else { None };
        let status = attach(process, tty).await;
        drop(raw);
        exit_code(status?)
    }
}

/// Copies the streams until the program ends.
pub(super) async fn attach(mut process: AttachedProcess, tty: bool) -> Result<Option<Status>, Failure> {
    let status = process.take_status();
    if tty && let Some(mut sizes) = process.terminal_size() {
        let (height, width) = super::terminal::size();
        let _gone = futures::SinkExt::send(&mut sizes, TerminalSize { height, width }).await;
    }
    let remote = process.stdin();
    let input = remote.map(|remote| Ok::<_, Failure>((remote, local_input()?))).transpose()?;
    let input = input.map(|(mut remote, mut chunks)| {
        tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                if remote.write_all(&chunk).await.is_err() {
                    return;
                }
            }
            let _closed = remote.shutdown().await;
        })
    });
    let stdout = process.stdout();
    let stderr = process.stderr();
    let copies = async {
        let (out, err) = futures::join!(copy(stdout, false), copy(stderr, true));
        out.and(err)
    };
    copies.await?;
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    if let Some(input) = input {
        input.abort();
    }
    Ok(status)
}

/// Stdin by a thread of its own: reading it blocks, and the process may end in the middle of it.
fn local_input() -> Result<tokio::sync::mpsc::Receiver<Vec<u8>>, Failure> {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let reader = std::thread::Builder::new().name("stdin".to_owned());
    let started = reader.spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0u8; 16 * 1024];
        while let Ok(read) = std::io::Read::read(&mut stdin, &mut buffer) {
            if read == 0 || sender.blocking_send(buffer[..read].to_vec()).is_err() {
                return;
            }
        }
    });
    started.map_err(|cause| error(format!("cannot start a thread that reads standard input: {cause}")))?;
    Ok(receiver)
}

async fn copy(from: Option<impl AsyncRead + Unpin>, to_stderr: bool) -> std::io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if to_stderr {
            use std::io::Write;
            std::io::stderr().lock().write_all(&buffer[..read])?;
        } else {
            output::bytes(&buffer[..read]);
        }
    }
}

/// What becomes of us after the program's end.
pub(super) fn exit_code(status: Option<Status>) -> Outcome {
    let Some(status) = status.filter(|status| status.status.as_deref() == Some("Failure")) else {
        return Ok(Exit::Success);
    };
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_deref()).and_then(|message| message.parse::<u8>().ok());
    match code {
        Some(code) => {
            output::progress(&format!("command terminated with exit code {code}"));
            Ok(Exit::Program(code))
        }
        None => Err(error(status.message.unwrap_or_default())),
    }
}
