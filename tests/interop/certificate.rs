//! A workload certificate, asked for as Istio's agent does: a request over TLS on port 15012, with the service account's token.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sagene_identity::request::CertificateRequest;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Name in the control plane's certificate.
const SERVER: &str = "istiod.istio-system.svc";
const METHOD: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

#[derive(Clone, PartialEq, prost::Message)]
struct Ask {
    #[prost(string, tag = "1")]
    csr: String,
    #[prost(int64, tag = "3")]
    validity_duration: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(string, repeated, tag = "1")]
    cert_chain: Vec<String>,
}

/// A key, its certificate, and what verifies others.
pub(crate) struct Certificate {
    pub(crate) key: String,
    pub(crate) chain: String,
    pub(crate) root: String,
}

/// A certificate for `identity`, which the token must prove.
pub(crate) async fn obtain(istiod: SocketAddr, root: &str, token: &str, identity: &str) -> Certificate {
    let request = CertificateRequest::generate(identity).expect("a request");
    let root = root.to_owned();
    let connector = tower::service_fn(move |_: ::http::Uri| {
        let root = root.clone();
        async move {
            let stream = TcpStream::connect(istiod).await?;
            let name = ServerName::try_from(SERVER).expect("a name");
            let stream = TlsConnector::from(Arc::new(trust(&root))).connect(name, stream).await?;
            std::io::Result::Ok(hyper_util::rt::TokioIo::new(stream))
        }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://istiod.istio-system.svc:15012");
    let channel = endpoint.connect_with_connector(connector).await.expect("a connection to the authority");
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("ready");
    let mut ask = tonic::Request::new(Ask { csr: request.csr_pem, validity_duration: 3600 });
    ask.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    let codec = tonic_prost::ProstCodec::<Ask, Answer>::default();
    let answer = client.unary(ask, ::http::uri::PathAndQuery::from_static(METHOD), codec).await;
    let mut chain = answer.expect("a certificate").into_inner().cert_chain;
    let root = chain.pop().expect("a root");
    Certificate { key: request.key_pem, chain: chain.concat(), root }
}

fn trust(root: &str) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root.as_bytes()) {
        roots.add(certificate.expect("a certificate")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
