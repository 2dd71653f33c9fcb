//! One HTTPS request to a webhook, over a connection that is kept for the next one.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Webhook;
use super::address::Address;
use crate::apiserver::operations::Operations;

/// Most bytes of a webhook's answer.
const ANSWER_LIMIT: usize = 8 << 20;
/// Kept connections.
const CONNECTION_LIMIT: usize = 64;

/// What must be equal for a connection to be used again.
type ConnectionKey = (SocketAddr, String, String);

/// Idle connections to webhooks.
#[derive(Default)]
pub(crate) struct WebhookClients {
    idle: Mutex<HashMap<ConnectionKey, SendRequest<Body>>>,
}

impl WebhookClients {
    /// Posts the review and returns the answer. The error is a reason for people, in Kubernetes' words.
    pub(super) async fn post(
        &self,
        operations: &Operations,
        webhook: &Webhook,
        review: &Value,
    ) -> Result<Value, String> {
        let (config, timeout) = (&webhook.value()["clientConfig"], webhook.timeout());
        let address = Address::of(config, timeout)?;
        let answer = tokio::time::timeout(timeout, self.exchange(operations, &address, config, review));
        match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => Err(described(&address, &reason)),
            Err(_) => Err(described(&address, "context deadline exceeded")),
        }
    }

    /// The outer error is one of the way to the webhook, the inner one of its answer.
    async fn exchange(
        &self,
        operations: &Operations,
        address: &Address,
        config: &Value,
        review: &Value,
    ) -> Result<Result<Value, String>, String> {
        let socket = address.socket(operations)?;
        let bundle = config["caBundle"].as_str().unwrap_or("").to_owned();
        let key = (socket, address.server_name.clone(), bundle);
        let body = review.to_string();
        if let Some(mut connection) = self.take(&key).filter(|connection| !connection.is_closed())
            && let Ok(answer) = send(&mut connection, address, &body).await
        {
            self.keep(key, connection);
            return Ok(answer);
        }
        let mut connection = connect(socket, &address.server_name, &key.2).await?;
        let answer = send(&mut connection, address, &body).await.map_err(|error| error.to_string())?;
        self.keep(key, connection);
        Ok(answer)
    }

    fn take(&self, key: &ConnectionKey) -> Option<SendRequest<Body>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(key)
    }

    fn keep(&self, key: ConnectionKey, connection: SendRequest<Body>) {
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        idle.retain(|_, kept| !kept.is_closed());
        if idle.len() < CONNECTION_LIMIT {
            idle.insert(key, connection);
        }
    }
}

fn described(address: &Address, reason: &str) -> String {
    format!("Post \"https://{}{}\": {reason}", address.authority(), address.path)
}

/// Why there is no connection, as Go says it.
fn refused(socket: SocketAddr, error: &std::io::Error) -> String {
    let reason = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::HostUnreachable => "no route to host".to_owned(),
        ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => error.to_string(),
    };
    format!("dial tcp {socket}: connect: {reason}")
}

async fn connect(socket: SocketAddr, server_name: &str, bundle: &str) -> Result<SendRequest<Body>, String> {
    let mut roots = RootCertStore::empty();
    let pem = STANDARD.decode(bundle).map_err(|error| format!("the caBundle is not base64: {error}"))?;
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        roots
            .add(certificate)
            .map_err(|error| format!("the caBundle holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("tls: the caBundle holds no certificate (x509: certificate signed by unknown authority)"
            .to_owned());
    }
    let config = rustls::ClientConfig::builder_with_provider(sagene_base::crypto::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(server_name.to_owned()).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(socket).await.map_err(|error| refused(socket, &error))?;
    let _ = stream.set_nodelay(true);
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| format!("tls: {error}"))?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "connection to a webhook ended");
        }
    });
    Ok(sender)
}

/// The outer error is one of the connection (another may work), the inner one of the webhook.
async fn send(
    connection: &mut SendRequest<Body>,
    address: &Address,
    body: &str,
) -> Result<Result<Value, String>, hyper::Error> {
    connection.ready().await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(&address.path)
        .header(header::HOST, address.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Body::from(body.to_owned()));
    let request = match request {
        Ok(request) => request,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let response = connection.send_request(request).await?;
    let status = response.status();
    let bytes = match Limited::new(response.into_body(), ANSWER_LIMIT).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return Ok(Err(format!("cannot read the answer: {error}"))),
    };
    if status != StatusCode::OK {
        let text: String = String::from_utf8_lossy(&bytes).chars().take(256).collect();
        return Ok(Err(format!("the webhook answered {status}: {}", text.trim())));
    }
    Ok(serde_json::from_slice(&bytes).map_err(|error| format!("the answer is not JSON: {error}")))
}
