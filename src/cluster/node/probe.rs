//! One attempt of a probe or hook: an HTTP request, a connection, a gRPC health check, or a command in the container.

mod grpc;
mod http;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::container_spec::ProgramSpec;
use super::pod_spec::{Container, ExecAction, HttpGetAction, LifecycleHandler, PortReference, Probe};
use super::process::{self, Streams};
use super::reaper::Reaper;

/// What commands print is shown in events up to this size.
const MAX_OUTPUT_BYTES: usize = 10 << 10;

/// Why an attempt failed, in the kubelet's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ProbeFailure(pub(crate) String);

/// What attempts need to know about their container.
#[derive(Clone)]
pub(crate) struct ProbeTarget {
    pub(crate) pod_address: Ipv4Addr,
    pub(crate) container: Container,
    /// The container's first process.
    pub(crate) process: i32,
    /// Environment and user for commands.
    pub(crate) program: ProgramSpec,
    pub(crate) reaper: Reaper,
}

impl ProbeTarget {
    /// Makes one attempt of a probe.
    pub(crate) async fn attempt(&self, probe: &Probe) -> Result<(), ProbeFailure> {
        let limit = probe.timeout();
        if let Some(exec) = &probe.exec {
            self.exec(exec, limit).await
        } else if let Some(get) = &probe.http_get {
            self.http(get, limit).await
        } else if let Some(tcp) = &probe.tcp_socket {
            let address = self.address(&tcp.host, &tcp.port)?;
            match timeout(limit, TcpStream::connect(address)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(ProbeFailure(format!("dial tcp {address}: {error}"))),
                Err(_) => Err(ProbeFailure(format!("dial tcp {address}: i/o timeout"))),
            }
        } else if let Some(call) = &probe.grpc {
            let address = SocketAddr::from((self.pod_address, call.port));
            let service = call.service.as_deref().unwrap_or("");
            timeout(limit, grpc::check(address, service)).await.unwrap_or_else(|_| {
                Err(ProbeFailure(format!("timeout: health rpc did not complete within {limit:?}")))
            })
        } else {
            Err(ProbeFailure("the probe names no action".to_owned()))
        }
    }

    /// Runs a hook to its end.
    pub(crate) async fn hook(&self, handler: &LifecycleHandler, limit: Duration) -> Result<(), ProbeFailure> {
        if let Some(exec) = &handler.exec {
            self.exec(exec, limit).await
        } else if let Some(get) = &handler.http_get {
            self.http(get, limit).await
        } else if let Some(sleep) = &handler.sleep {
            tokio::time::sleep(Duration::from_secs(sleep.seconds).min(limit)).await;
            Ok(())
        } else {
            Ok(())
        }
    }

    async fn http(&self, get: &HttpGetAction, limit: Duration) -> Result<(), ProbeFailure> {
        let address = self.address(&get.host, &get.port)?;
        let exceeded =
            || ProbeFailure(format!("Get \"{}\": context deadline exceeded", http::url(address, get)));
        timeout(limit, http::get(address, get)).await.unwrap_or_else(|_| Err(exceeded()))
    }

    fn address(&self, host: &str, port: &PortReference) -> Result<SocketAddr, ProbeFailure> {
        let port =
            self.container.port(port).ok_or_else(|| ProbeFailure(format!("couldn't find port: {port:?}")))?;
        let host = match host {
            "" => IpAddr::V4(self.pod_address),
            host => {
                host.parse().map_err(|_| ProbeFailure(format!("the host {host:?} is not an IP address")))?
            }
        };
        Ok(SocketAddr::new(host, port))
    }

    async fn exec(&self, exec: &ExecAction, limit: Duration) -> Result<(), ProbeFailure> {
        let program = ProgramSpec { arguments: exec.command.clone(), ..self.program.clone() };
        let streams = Streams { stdin: false, stdout: true, stderr: true };
        let started = process::start_beside(&self.reaper, self.process, &program, streams);
        let mut command =
            started.map_err(|error| ProbeFailure(format!("command {:?}: {error}", exec.command)))?;
        let id = command.id;
        let finished = timeout(limit, async {
            let output = tokio::join!(drain(command.stdout.take()), drain(command.stderr.take()));
            (output, command.exit.await)
        });
        match finished.await {
            Ok((_, Ok(exit))) if exit.code == 0 => Ok(()),
            Ok(((stdout, stderr), _)) => Err(ProbeFailure(format!("{stdout}{stderr}"))),
            Err(_) => {
                process::send_signal(id, nix::sys::signal::Signal::SIGKILL);
                Err(ProbeFailure(format!("command timed out: {:?} timed out after {limit:?}", exec.command)))
            }
        }
    }
}

async fn drain(pipe: Option<tokio::net::unix::pipe::Receiver>) -> String {
    use tokio::io::AsyncReadExt;
    let mut text = Vec::new();
    if let Some(mut pipe) = pipe {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
            let room = MAX_OUTPUT_BYTES.saturating_sub(text.len());
            text.extend_from_slice(&buffer[..length.min(room)]);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}
