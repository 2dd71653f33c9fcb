//! What Istio's agent serves to its Envoy on a Unix socket: the workload's certificate, and the roots.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, TlsCertificate, secret::Type,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use envoy_types::pb::google::protobuf::Any;
use futures::{Stream, StreamExt};
use prost::{Message, Name};
use tokio::net::UnixListener;
use tonic::{Request, Response, Status, Streaming};

use crate::certificate::Certificate;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves the two secrets for as long as the runtime lives.
pub(crate) fn serve(socket: &Path, certificate: Certificate) {
    let listener = UnixListener::bind(socket).expect("a socket");
    // Envoy runs as a user of its own.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o777)).expect("a socket for all");
    let service = SecretDiscoveryServiceServer::new(Secrets(Arc::new(certificate)));
    let incoming = futures::stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let server = tonic::transport::Server::builder().add_service(service);
    drop(tokio::spawn(server.serve_with_incoming(incoming)));
}

struct Secrets(Arc<Certificate>);

impl Secrets {
    fn secret(&self, name: &str) -> Any {
        let text = |text: &str| {
            Some(DataSource {
                specifier: Some(Specifier::InlineString(text.to_owned())),
                ..DataSource::default()
            })
        };
        let held = match name {
            name if name == "ROOTCA" || name.starts_with("file-root:") => {
                Type::ValidationContext(CertificateValidationContext {
                    trusted_ca: text(&self.0.root),
                    ..CertificateValidationContext::default()
                })
            }
            _ => Type::TlsCertificate(TlsCertificate {
                certificate_chain: text(&self.0.chain),
                private_key: text(&self.0.key),
                ..TlsCertificate::default()
            }),
        };
        let secret = Secret { name: name.to_owned(), r#type: Some(held) };
        Any { type_url: Secret::type_url(), value: secret.encode_to_vec() }
    }
}

#[tonic::async_trait]
impl SecretDiscoveryService for Secrets {
    type DeltaSecretsStream = Answers<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Answers<DiscoveryResponse>;

    async fn delta_secrets(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented("state of the world only"))
    }

    async fn stream_secrets(
        &self,
        requests: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let secrets = Self(self.0.clone());
        let answers = requests.into_inner().filter_map(move |request| {
            let answer = request.map(|request| {
                // An acknowledgement needs no answer.
                let fresh = request.response_nonce.is_empty();
                fresh.then(|| DiscoveryResponse {
                    version_info: "1".to_owned(),
                    nonce: "1".to_owned(),
                    type_url: Secret::type_url(),
                    resources: request.resource_names.iter().map(|name| secrets.secret(name)).collect(),
                    ..DiscoveryResponse::default()
                })
            });
            futures::future::ready(answer.transpose())
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn fetch_secrets(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("streams only"))
    }
}
