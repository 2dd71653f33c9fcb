//! HTTP to a port of a pod, through the API server's port-forward.

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Portforwarder;
use kube::{Api, Client};
use tokio_util::task::AbortOnDropHandle;

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
    let mut tunnel = Tunnel::open(client, pod, port).await?;
    let response = tunnel.send(Request::get(path), Bytes::new()).await?;
    if !response.status().is_success() {
        return Err(Failure::new(format!("unexpected status code: {}", response.status().as_u16())));
    }
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame.with_context(|| tunnel.unreachable())?.data_ref() {
            take(piece)?;
        }
    }
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
    let mut tunnel = Tunnel::open(client, pod, port).await?;
    let request = Request::builder().method(method).uri(path);
    let request = request.header(http::header::CONTENT_TYPE, "application/json");
    let response = tunnel.send(request, Bytes::from(body)).await?;
    let status = response.status();
    let body = response.into_body().collect().await.with_context(|| tunnel.unreachable())?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    if !status.is_success() {
        return Err(Failure::new(format!("unexpected status code: {}: {}", status.as_u16(), body.trim()))
            .context(format!("{method} {path} on port {port} of pod {}.{}", pod.name, pod.namespace)));
    }
    Ok(body)
}

/// One HTTP/1.1 connection through a port-forward; both end with it.
struct Tunnel<'p> {
    pod: &'p PodName,
    port: u16,
    forwarder: Portforwarder,
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<hyper::Result<()>>,
}

impl<'p> Tunnel<'p> {
    async fn open(client: &Client, pod: &'p PodName, port: u16) -> Result<Self, Failure> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
        let mut forwarder = pods.portforward(&pod.name, &[port]).await.map_err(server_failure)?;
        let stream =
            forwarder.take_stream(port).ok_or_else(|| Failure::new("the port-forward has no stream"))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.with_context(|| unreachable(pod, port))?;
        let driver = AbortOnDropHandle::new(tokio::spawn(connection));
        Ok(Self { pod, port, forwarder, sender, _driver: driver })
    }

    async fn send(
        &mut self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<http::Response<hyper::body::Incoming>, Failure> {
        let request = request
            .header(http::header::HOST, "localhost")
            .header(http::header::CONNECTION, "close")
            .body(Full::new(body))?;
        let response = self.sender.send_request(request).await;
        Ok(response.with_context(|| self.unreachable())?)
    }

    fn unreachable(&self) -> String {
        unreachable(self.pod, self.port)
    }
}

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

fn unreachable(pod: &PodName, port: u16) -> String {
    format!("cannot reach port {port} of pod {}.{}", pod.name, pod.namespace)
}
