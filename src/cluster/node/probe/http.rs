//! HTTP probes: any status from 200 to 399 is success; certificates are not checked, redirects are not followed.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sagene_base::peer_verifier::{AnyServer, ServerVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::ProbeFailure;
use crate::node::pod_spec::HttpGetAction;

/// As the kubelet calls itself.
const USER_AGENT: &str = "kube-probe/1.34";

pub(super) async fn get(address: SocketAddr, action: &HttpGetAction) -> Result<(), ProbeFailure> {
    let failed =
        |error: &dyn std::fmt::Display| ProbeFailure(format!("Get \"{}\": {error}", url(address, action)));
    let stream =
        TcpStream::connect(address).await.map_err(|error| failed(&format!("dial tcp {address}: {error}")))?;
    if !is_https(action) {
        return request(stream, address, action).await;
    }
    let connector =
        tokio_rustls::TlsConnector::from(Arc::new(any_certificate().map_err(|error| failed(&error))?));
    let name = ServerName::IpAddress(address.ip().into());
    let stream = connector.connect(name, stream).await.map_err(|error| failed(&error))?;
    request(stream, address, action).await
}

async fn request<S>(stream: S, address: SocketAddr, action: &HttpGetAction) -> Result<(), ProbeFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed =
        |error: &dyn std::fmt::Display| ProbeFailure(format!("Get \"{}\": {error}", url(address, action)));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let mut builder = http::Request::get(path(action)).header("connection", "close");
    let given = |name: &str| action.http_headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    if !given("host") {
        builder = builder.header("host", address.to_string());
    }
    if !given("user-agent") {
        builder = builder.header("user-agent", USER_AGENT);
    }
    if !given("accept") {
        builder = builder.header("accept", "*/*");
    }
    for header in &action.http_headers {
        builder = builder.header(&header.name, &header.value);
    }
    let request = builder.body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error));
    // The answer's body is of no interest: the connection is dropped with it.
    let status = answer.map(|answer| {
        let status = answer.status();
        drop(answer.into_body().boxed());
        status
    });
    connection.abort();
    match status?.as_u16() {
        200..400 => Ok(()),
        status => Err(ProbeFailure(format!("HTTP probe failed with statuscode: {status}"))),
    }
}

fn is_https(action: &HttpGetAction) -> bool {
    action.scheme.eq_ignore_ascii_case("https")
}

fn path(action: &HttpGetAction) -> String {
    if action.path.starts_with('/') { action.path.clone() } else { format!("/{}", action.path) }
}

/// The probe's URL for messages.
pub(super) fn url(address: SocketAddr, action: &HttpGetAction) -> String {
    format!("{}://{address}{}", if is_https(action) { "https" } else { "http" }, path(action))
}

fn any_certificate() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(ServerVerifier { judge: AnyServer, algorithms });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}
