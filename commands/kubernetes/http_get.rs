//! HTTP to a port of a pod, through the API server's port-forward.

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};

use super::error::server_failure;
use super::target::PodName;
use crate::exit::Failure;

/// GET, expecting 200.
pub(crate) async fn http_get(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
    path: &str,
) -> Result<String, Failure> {
    http_request(client, namespace, pod, port, "GET", path).await
}

/// GET, handing the body on in pieces as they come, so that a large one needs no memory.
pub(crate) async fn http_pieces(
    client: &Client,
    pod: &PodName,
    port: u16,
    path: &str,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let PodName { name: pod, namespace } = pod;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut forwarder = pods.portforward(pod, &[port]).await.map_err(server_failure)?;
    let stream = forwarder.take_stream(port).ok_or_else(|| Failure::new("the port-forward has no stream"))?;
    let at = || format!("cannot reach port {port} of pod {pod}.{namespace}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(at)?;
    let _driver = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(path)
        .header(http::header::HOST, "localhost")
        .header(http::header::CONNECTION, "close")
        .body(Full::new(Bytes::new()))?;
    let response = sender.send_request(request).await.with_context(at)?;
    if !response.status().is_success() {
        return Err(Failure::new(format!("unexpected status code: {}", response.status().as_u16())));
    }
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame.with_context(at)?.data_ref() {
            take(piece)?;
        }
    }
    forwarder.abort();
    Ok(())
}

/// Any method, expecting 200; the body is text.
pub(crate) async fn http_request(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
    method: &str,
    path: &str,
) -> Result<String, Failure> {
    let pod = PodName { name: pod.to_owned(), namespace: namespace.to_owned() };
    http_send(client, &pod, port, method, path, String::new()).await
}

/// Any method with a JSON body, expecting success.
pub(crate) async fn http_send(
    client: &Client,
    pod: &PodName,
    port: u16,
    method: &str,
    path: &str,
    body: String,
) -> Result<String, Failure> {
    let PodName { name: pod, namespace } = pod;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut forwarder = pods.portforward(pod, &[port]).await.map_err(server_failure)?;
    let stream = forwarder.take_stream(port).ok_or_else(|| Failure::new("the port-forward has no stream"))?;
    let at = || format!("cannot reach port {port} of pod {pod}.{namespace}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(at)?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, "localhost")
        .header(http::header::CONNECTION, "close")
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await.with_context(at)?;
    let status = response.status();
    let body = response.into_body().collect().await.with_context(at)?.to_bytes();
    drop(sender);
    driver.abort();
    forwarder.abort();
    let body = String::from_utf8_lossy(&body).into_owned();
    if !status.is_success() {
        return Err(Failure::new(format!("unexpected status code: {}: {}", status.as_u16(), body.trim()))
            .context(format!("{method} {path} on port {port} of pod {pod}.{namespace}")));
    }
    Ok(body)
}
