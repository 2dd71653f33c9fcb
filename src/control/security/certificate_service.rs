//! `istio.v1.auth.IstioCertificateService`: signs a caller's request with the caller's own identity.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Request;
use sagene_identity::authority::AuthorityError;
use tonic::{Response, Status, body::Body, server::UnaryService};
use tonic_prost::ProstCodec;
use tracing::{info, warn};

use super::authentication::{AuthenticationError, Authenticator, peer_address};
use super::authorities::Authorities;
use super::throttle;
use crate::metrics::Metrics;

/// Path of the service, with a trailing slash.
pub(crate) const PREFIX: &str = "/istio.v1.auth.IstioCertificateService/";
const METHOD: &str = "CreateCertificate";
/// Largest accepted request in bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// `istio.v1.auth.IstioCertificateRequest`; `metadata` (field 4) is read by no authority of ours.
#[derive(Clone, PartialEq, prost::Message)]
struct CertificateRequest {
    #[prost(string, tag = "1")]
    csr: String,
    #[prost(int64, tag = "3")]
    validity_duration: i64,
}

/// `istio.v1.auth.IstioCertificateResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct CertificateResponse {
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct CertificateService {
    pub(crate) authorities: Arc<Authorities>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) metrics: Arc<Metrics>,
}

impl UnaryService<CertificateRequest> for CertificateService {
    type Response = CertificateResponse;
    type Future = BoxFuture<'static, Result<Response<CertificateResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<CertificateRequest>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (metadata, extensions, request) = request.into_parts();
            service.sign(&metadata.into_headers(), &extensions, request).await.map(Response::new)
        })
    }
}

impl CertificateService {
    async fn sign(
        &self,
        headers: &http::HeaderMap,
        extensions: &tonic::Extensions,
        request: CertificateRequest,
    ) -> Result<CertificateResponse, Status> {
        self.metrics.count("citadel_server_csr_count", "");
        let peer = peer_address(extensions);
        if !self.authenticator.throttle.take(peer, throttle::REQUEST) {
            return Err(refused(&AuthenticationError::TooMany));
        }
        let caller = self.authenticator.caller(headers, extensions).await.map_err(|error| {
            self.metrics.count("citadel_server_authentication_failure_count", "");
            refused(&error)
        })?;
        let lifetime = u64::try_from(request.validity_duration).ok().filter(|seconds| *seconds > 0);
        let identity = caller.to_string();
        let in_force = self.authorities.current();
        let signed = in_force.authority.sign(
            &request.csr,
            std::slice::from_ref(&identity),
            lifetime.map(Duration::from_secs),
        );
        match signed {
            Ok(mut cert_chain) => {
                // The last entry is what the caller is to trust.
                cert_chain.push(in_force.roots.clone());
                self.metrics.count("citadel_server_success_cert_issuance_count", "");
                info!(%identity, "certificate issued");
                Ok(CertificateResponse { cert_chain })
            }
            Err(error) => {
                warn!(%identity, error = %sagene_base::task::error_chain(&error), "no certificate");
                Err(self.failed(&error))
            }
        }
    }

    fn failed(&self, error: &AuthorityError) -> Status {
        let message = sagene_base::task::error_chain(error);
        match error {
            AuthorityError::Request(_) => {
                self.metrics.count("citadel_server_csr_parsing_err_count", "");
                Status::invalid_argument(message)
            }
            AuthorityError::Lifetime { .. } => {
                self.metrics.count("citadel_server_csr_sign_err_count", "error=\"TTL_ERROR\"");
                Status::invalid_argument(message)
            }
            _ => {
                self.metrics.count("citadel_server_csr_sign_err_count", "error=\"CERT_GEN_ERROR\"");
                Status::internal(message)
            }
        }
    }
}

/// What a caller without identity is told.
pub(crate) fn refused(error: &AuthenticationError) -> Status {
    let message = sagene_base::task::error_chain(error);
    match error {
        AuthenticationError::Unavailable(_) => Status::unavailable(message),
        AuthenticationError::TooMany => Status::resource_exhausted(message),
        _ => Status::unauthenticated(message),
    }
}

impl<B> tower::Service<Request<B>> for CertificateService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path().strip_prefix(PREFIX) != Some(METHOD) {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let codec = ProstCodec::<CertificateResponse, CertificateRequest>::default();
            let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(MAX_REQUEST);
            Ok(grpc.unary(service, request).await)
        })
    }
}
