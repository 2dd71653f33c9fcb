//! The mesh's certificate authority: `istio.v1.auth.IstioCertificateService` at the control plane.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use sagene_base::connect::Connect;
use sagene_identity::request::CertificateRequest;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::{CertificateError, Source};
use crate::agent::control_plane::ControlPlane;
use crate::agent::secrets::Material;

/// Lifetime asked for, in seconds, when SECRET_TTL says nothing.
const LIFETIME_SECONDS: i64 = 24 * 60 * 60;
/// How long the authority may take.
const TIMEOUT: Duration = Duration::from_secs(20);
const METHOD: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/// `istio.v1.auth.IstioCertificateRequest`.
#[derive(Clone, PartialEq, Message)]
struct IstioCertificateRequest {
    #[prost(string, tag = "1")]
    csr: String,
    #[prost(int64, tag = "3")]
    validity_duration: i64,
}

/// `istio.v1.auth.IstioCertificateResponse`: the certificate first, its root last.
#[derive(Clone, PartialEq, Message)]
struct IstioCertificateResponse {
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

/// Why the authority gave none.
#[derive(Debug, thiserror::Error)]
enum AuthorityError {
    /// No connection.
    #[error("cannot connect to {0}")]
    Connect(String, #[source] tonic::transport::Error),
    /// The address is none.
    #[error("{0:?} is not host:port (CA_ADDR)")]
    Address(String),
    /// The token cannot be shown.
    #[error("the service-account token holds characters that no header can")]
    Token,
    /// It said no.
    #[error("{code:?}: {message}")]
    Status { code: tonic::Code, message: String },
    /// It answered with too little.
    #[error("the answer holds {0} certificates; at least the workload's and the root were expected")]
    Short(usize),
    /// It took too long.
    #[error("no answer within {TIMEOUT:?}")]
    Timeout,
}

/// Asks the authority for this workload's certificate.
pub(crate) struct Authority {
    pub(crate) server: ControlPlane,
    pub(crate) spiffe_id: String,
    pub(crate) cluster_id: String,
    pub(crate) lifetime: Option<Duration>,
}

impl Source for Authority {
    fn obtain(&self) -> BoxFuture<'_, Result<Material, CertificateError>> {
        Box::pin(async {
            let request = CertificateRequest::generate(&self.spiffe_id).map_err(wrap)?;
            let chain = match tokio::time::timeout(TIMEOUT, self.sign(request.csr_pem)).await {
                Ok(answer) => answer?,
                Err(_) => return Err(wrap(AuthorityError::Timeout)),
            };
            let (root, certificates) = match chain.split_last() {
                Some((root, certificates)) if !certificates.is_empty() => (root, certificates),
                _ => return Err(wrap(AuthorityError::Short(chain.len()))),
            };
            Ok(Material {
                chain: join(certificates),
                key: request.key_pem.into_bytes(),
                roots: root.clone().into_bytes(),
            })
        })
    }

    fn period(&self) -> Option<Duration> {
        None
    }
}

impl Authority {
    async fn sign(&self, csr: String) -> Result<Vec<String>, CertificateError> {
        let channel = self.channel().await.map_err(wrap)?;
        let lifetime = self.lifetime.and_then(|lifetime| i64::try_from(lifetime.as_secs()).ok());
        let mut request = tonic::Request::new(IstioCertificateRequest {
            csr,
            validity_duration: lifetime.unwrap_or(LIFETIME_SECONDS),
        });
        if self.server.root.is_some() {
            let token = self.server.token().map_err(wrap)?;
            let value = MetadataValue::try_from(format!("Bearer {token}"))
                .map_err(|_| wrap(AuthorityError::Token))?;
            request.metadata_mut().insert("authorization", value);
        }
        if let Ok(cluster) = MetadataValue::try_from(self.cluster_id.as_str()) {
            request.metadata_mut().insert("clusterid", cluster);
        }
        let mut client = Grpc::new(channel);
        client
            .ready()
            .await
            .map_err(|error| wrap(AuthorityError::Connect(self.server.address.clone(), error)))?;
        let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
        match client.unary(request, PathAndQuery::from_static(METHOD), codec).await {
            Ok(answer) => Ok(answer.into_inner().cert_chain),
            Err(status) => Err(wrap(AuthorityError::Status {
                code: status.code(),
                message: status.message().to_owned(),
            })),
        }
    }

    /// A connection for this one call: the next is half a certificate's life away.
    async fn channel(&self) -> Result<Channel, AuthorityError> {
        let address = &self.server.address;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| AuthorityError::Address(address.clone()))?;
        let server = Arc::new(self.server.clone());
        let connector = tower::service_fn(move |_: http::Uri| {
            let server = Arc::clone(&server);
            async move { server.connect().await.map(TokioIo::new) }
        });
        endpoint
            .connect_with_connector(connector)
            .await
            .map_err(|error| AuthorityError::Connect(address.clone(), error))
    }
}

fn wrap(error: impl std::error::Error + Send + Sync + 'static) -> CertificateError {
    CertificateError::Authority(Box::new(error))
}

/// One PEM text of several, each ending in a newline.
fn join(certificates: &[String]) -> Vec<u8> {
    let mut joined = String::new();
    for certificate in certificates {
        joined.push_str(certificate.trim_end());
        joined.push('\n');
    }
    joined.into_bytes()
}
