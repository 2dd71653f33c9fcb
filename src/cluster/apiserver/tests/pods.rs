//! Log, exec and portforward against a node agent that echoes.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, LogParams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::TestServer;
use crate::pod_runtime::*;

/// The one port where nobody listens.
pub(super) const CLOSED_PORT: u16 = 1;

/// Logs its options, runs `cat` for every command, and echoes on every port but one.
pub(super) struct Echo;

impl PodRuntime for Echo {
    fn logs<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, PodRuntimeError>> {
        let line = format!("{pod}/{container} tail={:?}\n", options.tail_lines);
        let stream: LogStream = Box::pin(futures::stream::iter([Ok(Bytes::from(line))]));
        Box::pin(async { Ok(stream) })
    }

    fn usage(&self) -> Option<NodeUsage> {
        let container = |name: &str, cores| ContainerUsage {
            name: name.to_owned(),
            usage: Usage { cores, bytes: 3 << 20 },
        };
        let pod = |name: &str| PodUsage {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            containers: vec![container("main", 0.25), container("istio-proxy", 0.000_000_001)],
        };
        Some(NodeUsage {
            measured_at: "2026-01-02T03:04:05.6Z".parse().unwrap(),
            window: std::time::Duration::from_secs(15),
            node: "sagene".to_owned(),
            usage: Usage { cores: 1.5, bytes: 2 << 30 },
            pods: vec![pod("p"), pod("gone")],
        })
    }

    fn exec<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
        options: ExecOptions,
    ) -> BoxFuture<'a, Result<ExecSession, PodRuntimeError>> {
        let (mut inside, outside) = tokio::io::duplex(1024);
        let (stdin, stdout) = (inside_pipe(), outside);
        let (client_end, mut command_end) = stdin;
        let (exited, exit) = oneshot::channel();
        tokio::spawn(async move {
            let mut line = [0; 5];
            let _ = command_end.read_exact(&mut line).await;
            let _ = inside
                .write_all(
                    format!("{} {}", options.command.join(" "), String::from_utf8_lossy(&line)).as_bytes(),
                )
                .await;
            drop(inside);
            let _ = exited.send(ExecExit::Code(3));
        });
        let session = ExecSession {
            stdin: Some(Box::pin(client_end)),
            stdout: Some(Box::pin(stdout)),
            stderr: None,
            resize: None,
            exit,
        };
        Box::pin(async { Ok(session) })
    }

    fn attach<'a>(
        &'a self,
        _: &'a str,
        pod: &'a str,
        _: &'a str,
        _: ExecOptions,
    ) -> BoxFuture<'a, Result<ExecSession, PodRuntimeError>> {
        Box::pin(async move { Err(PodRuntimeError::BadState(format!("{pod} does not run"))) })
    }

    fn port_forward<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn PortStream>, PodRuntimeError>> {
        if port == CLOSED_PORT {
            return Box::pin(async { Err(PodRuntimeError::Internal("nobody listens".to_owned())) });
        }
        let (inside, outside) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(inside);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        });
        let stream: Box<dyn PortStream> = Box::new(outside);
        Box::pin(async { Ok(stream) })
    }
}

fn inside_pipe() -> (tokio::io::DuplexStream, tokio::io::DuplexStream) {
    tokio::io::duplex(1024)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kube_client_reaches_into_pods() {
    let server = TestServer::start().await;
    server.create_pod("p").await;
    let pods: Api<Pod> = Api::namespaced(server.kube().await, "default");
    assert!(pods.logs("p", &LogParams::default()).await.is_err(), "no node agent yet");
    assert!(server.pod_runtime.bind(Arc::new(Echo)));

    let log = pods.logs("p", &LogParams { tail_lines: Some(7), ..LogParams::default() }).await.unwrap();
    assert_eq!(log, "p/main tail=Some(7)\n");

    let params = AttachParams::default().stdin(true).stderr(false);
    let mut session = pods.exec("p", ["say", "it"], &params).await.unwrap();
    session.stdin().unwrap().write_all(b"hello").await.unwrap();
    let mut output = String::new();
    session.stdout().unwrap().read_to_string(&mut output).await.unwrap();
    assert_eq!(output, "say it hello");
    let status = session.take_status().unwrap().await.unwrap();
    assert_eq!(status.message.unwrap(), "command terminated with non-zero exit code: exit status 3");

    let mut forward = pods.portforward("p", &[80]).await.unwrap();
    let mut stream = forward.take_stream(80).unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");

    let refused = pods.attach("p", &AttachParams::default()).await.err().unwrap();
    assert!(!refused.to_string().is_empty());
    server.running.shutdown().await;
}
