//! The real kubectl against the server; the node agent is stood in for.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::TestServer;
use super::pods::{CLOSED_PORT, Echo};
use crate::api_client::ResourceRef;

/// More than one message and more than any queue holds.
const MUCH: usize = 8 << 20;

fn kubectl(server: &TestServer) -> Option<Command> {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("kubectl").is_file()));
    if !found {
        eprintln!("SKIPPED: there is no kubectl on this machine's PATH");
        return None;
    }
    let file = server.state.path().join("kubeconfig");
    std::fs::write(&file, server.kubeconfig().to_string()).unwrap();
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(file).kill_on_drop(true).stdin(Stdio::null());
    Some(command)
}

/// The local port that kubectl says it listens at.
async fn local_port(forward: &mut Child) -> u16 {
    let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
    let line =
        tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await.unwrap().unwrap().unwrap();
    let port =
        line.trim_start_matches("Forwarding from 127.0.0.1:").split(' ').next().unwrap().parse().unwrap();
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    port
}

async fn echoed(port: u16, bytes: usize) {
    let connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut reader, mut writer) = connection.into_split();
    let sent: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
    let expected = sent.clone();
    let send = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    let all = reader.read_to_end(&mut received);
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap().unwrap();
    send.await.unwrap();
    assert!(received == expected, "{} of {bytes} bytes came back", received.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_forwards_ports() {
    let server = TestServer::start().await;
    let Some(_) = kubectl(&server) else { return };
    server.create_pod("p").await;
    let running = json!({"status": {"phase": "Running"}});
    let client = &server.running.client;
    client.merge_patch(&ResourceRef::PODS, "default", "p", "status", running).await.unwrap();
    assert!(server.pod_runtime.bind(Arc::new(Echo)));
    for websockets in ["true", "false"] {
        let mut command = kubectl(&server).unwrap();
        command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
        command.args(["port-forward", "pod/p", ":80", "--address=127.0.0.1"]).stdout(Stdio::piped());
        let mut forward = command.spawn().unwrap();
        let port = local_port(&mut forward).await;
        echoed(port, MUCH).await;
        let many = (0..20).map(|_| tokio::spawn(echoed(port, 100_000)));
        for one in many.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        forward.kill().await.unwrap();
    }
    let mut command = kubectl(&server).unwrap();
    command.args(["port-forward", "pod/p", &format!(":{CLOSED_PORT}"), "--address=127.0.0.1"]);
    let mut forward = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let port = local_port(&mut forward).await;
    let mut refused = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut nothing = Vec::new();
    let _ = refused.read_to_end(&mut nothing).await;
    let mut complaint = String::new();
    let told = forward.stderr.take().unwrap();
    BufReader::new(told).read_line(&mut complaint).await.unwrap();
    assert!(complaint.contains("error forwarding port 1 to pod p"), "{complaint}");
    assert!(complaint.contains("nobody listens"), "{complaint}");
    drop(forward);
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_what_is_used() {
    let server = TestServer::start().await;
    let Some(_) = kubectl(&server) else { return };
    server.create_pod("p").await;
    let client = &server.running.client;
    client.create(&ResourceRef::NODES, "", json!({"metadata": {"name": "sagene"}})).await.unwrap();
    let status = json!({"status": {"allocatable": {"cpu": "3", "memory": "4Gi"}}});
    client.merge_patch(&ResourceRef::NODES, "", "sagene", "status", status).await.unwrap();
    let run = async |arguments: &[&str]| {
        let output = kubectl(&server).unwrap().args(arguments).output().await.unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert!(run(&["top", "pods"]).await.1.contains("metrics not available yet"));
    assert!(server.pod_runtime.bind(Arc::new(Echo)));
    let (pods, told) = run(&["top", "pods", "--containers", "--no-headers"]).await;
    let rows: Vec<Vec<&str>> = pods.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["p", "istio-proxy", "1m", "3Mi"], ["p", "main", "250m", "3Mi"]], "{pods}{told}");
    let (nodes, told) = run(&["top", "nodes", "--no-headers"]).await;
    let row: Vec<&str> = nodes.split_whitespace().collect();
    assert_eq!(row, ["sagene", "1500m", "50%", "2048Mi", "50%"], "{nodes}{told}");
    let (_, refused) = run(&["delete", "pods.metrics.k8s.io", "p"]).await;
    assert!(refused.contains("MethodNotAllowed") || refused.contains("does not allow"), "{refused}");
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_asks_pods_and_services_through_the_server() {
    let server = TestServer::start().await;
    let Some(_) = kubectl(&server) else { return };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            let _ = stream.read_line(&mut line).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{line}", line.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.into_inner().shutdown().await;
        }
    });
    let client = &server.running.client;
    server.create_pod("p").await;
    let status = json!({"status": {"phase": "Running", "podIP": "127.0.0.1"}});
    client.merge_patch(&ResourceRef::PODS, "default", "p", "status", status).await.unwrap();
    let service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"name": "http", "port": 80}]}});
    client.create(&ResourceRef::SERVICES, "default", service).await.unwrap();
    let get = async |path: String| {
        let raw = format!("/api/v1/namespaces/default/{path}");
        let output = kubectl(&server).unwrap().args(["get", "--raw", &raw]).output().await.unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (said, told) = get(format!("pods/p:{port}/proxy/a%20b/?c=d")).await;
    assert_eq!(said, "GET /a%20b/?c=d HTTP/1.1\r\n", "{told}");
    assert!(get("services/s:http/proxy/".to_owned()).await.1.contains("no endpoints available"));
    let slice = json!({"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "s"}}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}], "endpoints": [{"addresses": ["127.0.0.1"]}]});
    client.create(&ResourceRef::ENDPOINT_SLICES, "default", slice).await.unwrap();
    for name in ["s", "s:80", "http:s:http"] {
        let (said, told) = get(format!("services/{name}/proxy/x")).await;
        assert_eq!(said, "GET /x HTTP/1.1\r\n", "{name}: {told}");
    }
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_executes_commands_over_both_protocols() {
    let server = TestServer::start().await;
    let Some(_) = kubectl(&server) else { return };
    server.create_pod("p").await;
    assert!(server.pod_runtime.bind(Arc::new(Echo)));
    for websockets in ["true", "false"] {
        let mut command = kubectl(&server).unwrap();
        command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets);
        command.args(["exec", "-i", "p", "--", "say", "it"]).stdin(Stdio::piped());
        let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        run.stdin.take().unwrap().write_all(b"hello").await.unwrap();
        let ended =
            tokio::time::timeout(Duration::from_secs(60), run.wait_with_output()).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "say it hello");
        assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    server.running.shutdown().await;
}
