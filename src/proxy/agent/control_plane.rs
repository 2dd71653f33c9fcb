//! The connection to the control plane: name, TCP, TLS with the mesh's root, the token that says who we are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sagene_base::connect::{BoxedStream, Connect};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use crate::capture::PROXY_MARK;
use crate::dns::{LookupError, ResolvConf, lookup};

/// How long a connection may take from the first packet to the end of the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One server of the control plane: discovery, or the certificate authority.
#[derive(Debug, Clone)]
pub(crate) struct ControlPlane {
    /// `host:port`
    pub(crate) address: String,
    /// The root that the server's certificate must come from; `None` = no TLS.
    pub(crate) root: Option<PathBuf>,
    /// Roots that discovery told of, PEM: kubelet takes its time to bring the file up to date.
    pub(crate) more_roots: watch::Receiver<Vec<String>>,
    /// The service-account token, read anew for every use: kubelet replaces it.
    pub(crate) token: PathBuf,
    pub(crate) resolv_conf: ResolvConf,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The address is not `host:port`.
    #[error("{0:?} is not host:port (discoveryAddress, CA_ADDR)")]
    Address(String),
    /// The name is none for TLS.
    #[error("{0:?} is not a server name")]
    ServerName(String, #[source] InvalidDnsNameError),
    /// The name has no address.
    #[error("no address for the control plane")]
    Lookup(#[source] LookupError),
    /// No connection to any address.
    #[error("cannot connect to {0}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// Took too long.
    #[error("no connection to {address} within {CONNECT_TIMEOUT:?}")]
    Timeout { address: String },
    /// No root certificate.
    #[error("cannot read root certificates from {}", .0.display())]
    Root(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// The root file holds none.
    #[error("{} holds no certificate", .0.display())]
    NoRoot(PathBuf),
    /// TLS cannot be configured.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The handshake failed.
    #[error("TLS handshake with {0} failed")]
    Handshake(String, #[source] std::io::Error),
    /// No token.
    #[error("cannot read the service-account token {}", .0.display())]
    Token(PathBuf, #[source] std::io::Error),
}

impl ControlPlane {
    /// A fresh connection.
    async fn open(&self) -> Result<BoxedStream, ConnectError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.connect_now()).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout { address: self.address.clone() }),
        }
    }

    /// The bearer token as it is now.
    pub(crate) fn token(&self) -> Result<String, ConnectError> {
        match std::fs::read_to_string(&self.token) {
            Ok(token) => Ok(token.trim().to_owned()),
            Err(error) => Err(ConnectError::Token(self.token.clone(), error)),
        }
    }

    async fn connect_now(&self) -> Result<BoxedStream, ConnectError> {
        let wrong = || ConnectError::Address(self.address.clone());
        let (host, port) = self.address.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let host = host.trim_matches(['[', ']']);
        let addresses = lookup(host, &self.resolv_conf).await.map_err(ConnectError::Lookup)?;
        let mut last = None;
        for address in addresses {
            let address = SocketAddr::new(address, port);
            match connect_tcp(address).await {
                Ok(stream) => return self.secure(host, stream).await,
                Err(error) => last = Some(ConnectError::Connect(address, error)),
            }
        }
        Err(last.unwrap_or_else(wrong))
    }

    async fn secure(&self, host: &str, stream: TcpStream) -> Result<BoxedStream, ConnectError> {
        let Some(root) = &self.root else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| ConnectError::ServerName(host.to_owned(), error))?;
        let connector = TlsConnector::from(Arc::new(client_config(root, &self.more_roots.borrow())?));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(ConnectError::Handshake(self.address.clone(), error)),
        }
    }
}

impl Connect for ControlPlane {
    fn connect(&self) -> BoxFuture<'_, std::io::Result<BoxedStream>> {
        Box::pin(async { self.open().await.map_err(std::io::Error::other) })
    }
}

async fn connect_tcp(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Without the capability the capture rules know us by user id.
    let _ = socket2::SockRef::from(&socket).set_mark(PROXY_MARK);
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.connect(address).await
}

/// TLS that trusts `more` and what the root file holds now; it is read anew because roots rotate.
fn client_config(root: &PathBuf, more: &[String]) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    match CertificateDer::pem_file_iter(root) {
        Ok(certificates) => {
            for certificate in certificates {
                let certificate = certificate.map_err(|error| ConnectError::Root(root.clone(), error))?;
                roots.add(certificate).map_err(ConnectError::Tls)?;
            }
        }
        Err(error) if more.is_empty() => return Err(ConnectError::Root(root.clone(), error)),
        Err(error) => {
            tracing::warn!(path = %root.display(), %error, "cannot read root certificates; those of discovery are trusted")
        }
    }
    for pem in more {
        roots
            .add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok));
    }
    if roots.is_empty() {
        return Err(ConnectError::NoRoot(root.clone()));
    }
    let mut config = ClientConfig::builder_with_provider(sagene_base::crypto::provider())
        .with_safe_default_protocol_versions()
        .map_err(ConnectError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
