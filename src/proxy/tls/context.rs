//! TLS contexts of listeners and clusters. They keep their identity while the certificates inside change.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use sagene_base::peer_verifier::{ClientVerifier, ServerVerifier};
use sagene_base::version1::{Clients, certified};

use super::names;
use super::parameters;
use super::revocation::NotRevoked;
use super::secret::{Identity, Trust};
use super::verify::Upstream;
use crate::config::proto::tls;
use crate::config::{FieldError, Within, refuse_fields};

/// aws-lc-rs with X25519 first and no post-quantum exchange: it costs 1.5 times the handshake inside a mesh.
pub(crate) static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups =
        vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1, aws_lc_rs::kx_group::SECP384R1];
    Arc::new(provider)
});

/// Secrets by name, and the contexts that must follow them.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    identities: HashMap<String, Arc<Identity>>,
    trusts: HashMap<String, Arc<Trust>>,
    downstream: Vec<Weak<DownstreamTls>>,
    upstream: Vec<Weak<UpstreamTls>>,
}

#[derive(Debug)]
enum IdentitySource {
    None,
    Fixed(Arc<Identity>),
    Named(String),
}

#[derive(Debug)]
struct TrustSource {
    fixed: Option<Arc<Trust>>,
    named: Option<String>,
}

#[derive(Debug)]
struct Common {
    identity: IdentitySource,
    trust: TrustSource,
    alpn: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    provider: Arc<CryptoProvider>,
}

impl Secrets {
    /// Takes a secret and rebuilds what depends on it.
    pub(crate) fn set(&self, secret: &tls::Secret) -> Result<(), FieldError> {
        use tls::secret::Type;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &secret.r#type {
            Some(Type::TlsCertificate(certificate)) => {
                let identity = Identity::compile(certificate).within("tls_certificate")?;
                let key = PROVIDER.key_provider.load_private_key(identity.key.clone_key());
                key.map_err(|error| FieldError::new("tls_certificate.private_key", error.to_string()))?;
                inner.identities.insert(secret.name.clone(), Arc::new(identity));
            }
            Some(Type::ValidationContext(context)) => {
                inner.trusts.insert(
                    secret.name.clone(),
                    Arc::new(Trust::compile(context).within("validation_context")?),
                );
            }
            _ => {
                return Err(FieldError::new(
                    "type",
                    "only tls_certificate and validation_context are supported",
                ));
            }
        }
        inner.rebuild(&secret.name);
        Ok(())
    }

    /// Forgets a secret. Contexts keep serving with what they have.
    pub(crate) fn remove(&self, name: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.identities.remove(name);
        inner.trusts.remove(name);
    }

    /// Names that live contexts refer to.
    pub(crate) fn wanted(&self) -> BTreeSet<String> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.downstream.retain(|each| each.strong_count() > 0);
        inner.upstream.retain(|each| each.strong_count() > 0);
        let down = inner.downstream.iter().filter_map(Weak::upgrade).flat_map(|each| each.common.names());
        let up = inner.upstream.iter().filter_map(Weak::upgrade).flat_map(|each| each.common.names());
        down.chain(up).collect()
    }
}

impl Inner {
    fn rebuild(&mut self, name: &str) {
        self.downstream.retain(|each| each.strong_count() > 0);
        self.upstream.retain(|each| each.strong_count() > 0);
        for context in
            self.downstream.iter().filter_map(Weak::upgrade).filter(|c| c.common.names().any(|n| n == name))
        {
            context.refresh(self);
        }
        for context in
            self.upstream.iter().filter_map(Weak::upgrade).filter(|c| c.common.names().any(|n| n == name))
        {
            context.refresh(self);
        }
    }

    fn identity(&self, source: &IdentitySource) -> Option<Option<Arc<Identity>>> {
        match source {
            IdentitySource::None => Some(None),
            IdentitySource::Fixed(identity) => Some(Some(identity.clone())),
            IdentitySource::Named(name) => self.identities.get(name).cloned().map(Some),
        }
    }

    fn trust(&self, source: &TrustSource) -> Option<Arc<Trust>> {
        let Some(name) = &source.named else { return Some(source.fixed.clone().unwrap_or_default()) };
        let named = self.trusts.get(name)?;
        match &source.fixed {
            None => Some(named.clone()),
            // A combined context: the names of the default, the roots of the secret.
            Some(fixed) => Some(Arc::new(Trust {
                roots: named.roots.clone().or_else(|| fixed.roots.clone()),
                names: if named.names.is_empty() { fixed.names.clone() } else { named.names.clone() },
                revocations: named.revocations.clone().or_else(|| fixed.revocations.clone()),
            })),
        }
    }
}

impl Common {
    fn compile(from: &tls::CommonTlsContext) -> Result<Self, FieldError> {
        use tls::common_tls_context::ValidationContextType as Validation;
        let identity =
            match (from.tls_certificates.as_slice(), from.tls_certificate_sds_secret_configs.as_slice()) {
                ([], []) => IdentitySource::None,
                ([first, ..], _) => {
                    IdentitySource::Fixed(Arc::new(Identity::compile(first).within("tls_certificates[0]")?))
                }
                ([], [first, ..]) => IdentitySource::Named(first.name.clone()),
            };
        let trust = match &from.validation_context_type {
            None => TrustSource { fixed: None, named: None },
            Some(Validation::ValidationContext(context)) => TrustSource {
                fixed: Some(Arc::new(Trust::compile(context).within("validation_context")?)),
                named: None,
            },
            Some(Validation::ValidationContextSdsSecretConfig(sds)) => {
                TrustSource { fixed: None, named: Some(sds.name.clone()) }
            }
            Some(Validation::CombinedValidationContext(both)) => TrustSource {
                fixed: both
                    .default_validation_context
                    .as_ref()
                    .map(Trust::compile)
                    .transpose()
                    .within("combined_validation_context")?
                    .map(Arc::new),
                named: both.validation_context_sds_secret_config.as_ref().map(|sds| sds.name.clone()),
            },
            Some(_) => {
                return Err(FieldError::new(
                    "validation_context_type",
                    "certificate providers are not supported",
                ));
            }
        };
        let alpn = from.alpn_protocols.iter().map(|each| each.clone().into_bytes()).collect();
        refuse_fields!(from, custom_tls_certificate_selector, custom_handshaker, key_log);
        let parameters = from.tls_params.as_ref();
        let provider = parameters.map_or_else(|| Ok(PROVIDER.clone()), parameters::provider);
        Ok(Self {
            identity,
            trust,
            alpn,
            versions: versions(parameters)?,
            provider: provider.within("tls_params")?,
        })
    }

    fn names(&self) -> impl Iterator<Item = String> + use<> {
        let identity = match &self.identity {
            IdentitySource::Named(name) => Some(name.clone()),
            _ => None,
        };
        identity.into_iter().chain(self.trust.named.clone())
    }
}

fn versions(from: Option<&tls::TlsParameters>) -> Result<Vec<&'static SupportedProtocolVersion>, FieldError> {
    let (minimum, maximum) =
        from.map_or((0, 0), |p| (p.tls_minimum_protocol_version, p.tls_maximum_protocol_version));
    let mut list = Vec::new();
    if minimum <= 3 && (maximum == 0 || maximum >= 3) {
        list.push(&rustls::version::TLS12);
    }
    if maximum == 0 || maximum >= 4 {
        list.push(&rustls::version::TLS13);
    }
    if list.is_empty() {
        Err(FieldError::new("tls_params", "allows neither TLS 1.2 nor 1.3; older versions are not supported"))
    } else {
        Ok(list)
    }
}

/// TLS of a filter chain.
#[derive(Debug)]
pub(crate) struct DownstreamTls {
    /// A hash of the settings, to tell whether another context has the same.
    settings: u64,
    common: Common,
    require_client: bool,
    current: ArcSwapOption<ServerState>,
}

/// What a new connection uses.
#[derive(Debug)]
pub(crate) struct ServerState {
    config: Arc<ServerConfig>,
    without_alpn: Arc<ServerConfig>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) principal: Option<Arc<str>>,
}

impl ServerState {
    /// The configuration for a client that offers these protocols. Without a common one the connection goes on
    /// without ALPN, as in Envoy.
    pub(crate) fn config(&self, offered: Option<Vec<&[u8]>>) -> Arc<ServerConfig> {
        match offered {
            Some(offered)
                if !offered.iter().any(|each| self.config.alpn_protocols.iter().any(|own| own == each)) =>
            {
                self.without_alpn.clone()
            }
            _ => self.config.clone(),
        }
    }
}

impl DownstreamTls {
    pub(crate) fn compile(
        from: &tls::DownstreamTlsContext,
        secrets: &Arc<Secrets>,
    ) -> Result<Arc<Self>, FieldError> {
        refuse_fields!(from, require_sni, session_ticket_keys_type, ocsp_staple_policy);
        let common = from
            .common_tls_context
            .as_ref()
            .ok_or_else(|| FieldError::new("common_tls_context", "is missing"))?;
        let common = Common::compile(common).within("common_tls_context")?;
        if matches!(common.identity, IdentitySource::None) {
            return Err(FieldError::new("common_tls_context", "names no certificate; a server needs one"));
        }
        let require_client = from.require_client_certificate.as_ref().is_some_and(|b| b.value);
        let settings = hash_of(from);
        let context = Arc::new(Self { settings, common, require_client, current: ArcSwapOption::empty() });
        let mut inner = secrets.inner.lock().unwrap_or_else(PoisonError::into_inner);
        context.refresh(&inner);
        inner.downstream.push(Arc::downgrade(&context));
        Ok(context)
    }

    /// Whether both make the same connections.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.settings == other.settings
    }

    /// What a new connection uses; `None` while a secret is missing.
    pub(crate) fn current(&self) -> Option<Arc<ServerState>> {
        self.current.load_full()
    }

    fn refresh(&self, inner: &Inner) {
        let (Some(Some(identity)), Some(trust)) =
            (inner.identity(&self.common.identity), inner.trust(&self.common.trust))
        else {
            return;
        };
        match self.build(&identity, trust) {
            Ok(state) => self.current.store(Some(Arc::new(state))),
            Err(error) => tracing::warn!(%error, "a TLS context of a listener keeps its last certificate"),
        }
    }

    fn build(&self, identity: &Identity, trust: Arc<Trust>) -> Result<ServerState, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(self.common.provider.clone())
            .with_protocol_versions(&self.common.versions)?;
        let builder = match &trust.roots {
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), PROVIDER.clone());
                let verifier = if self.require_client { verifier } else { verifier.allow_unauthenticated() };
                let inner = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
                let algorithms = PROVIDER.signature_verification_algorithms;
                let judge = Clients(roots.clone());
                let verifier = Arc::new(ClientVerifier { judge, inner, algorithms });
                if trust.revocations.is_some() {
                    let judge = NotRevoked(trust.clone());
                    builder.with_client_cert_verifier(Arc::new(ClientVerifier {
                        judge,
                        inner: verifier,
                        algorithms,
                    }))
                } else {
                    builder.with_client_cert_verifier(verifier)
                }
            }
            None if self.require_client => {
                return Err(rustls::Error::General(
                    "client certificates are required but no trust root is known".into(),
                ));
            }
            None => builder.with_no_client_auth(),
        };
        let (chain, key) = identity.copy();
        let principal = principal_of(&chain);
        let mut config = builder.with_cert_resolver(certified(chain, key, &PROVIDER)?);
        config.send_tls13_tickets = 1;
        let without_alpn = Arc::new(config.clone());
        config.alpn_protocols.clone_from(&self.common.alpn);
        Ok(ServerState { config: Arc::new(config), without_alpn, trust, principal })
    }
}

/// The first URI name of a chain's leaf.
pub(crate) fn principal_of(chain: &[CertificateDer<'_>]) -> Option<Arc<str>> {
    let names = chain.first().and_then(|leaf| names::read(leaf))?;
    names.uris.into_iter().next().map(Into::into)
}

fn hash_of(settings: &impl prost::Message) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    settings.encode_to_vec().hash(&mut hasher);
    hasher.finish()
}

/// TLS towards the endpoints of a cluster.
#[derive(Debug)]
pub(crate) struct UpstreamTls {
    common: Common,
    pub(crate) sni: String,
    by_name: bool,
    current: ArcSwapOption<ClientState>,
}

/// What a new upstream connection uses: the configured ALPN, or one of `istio.alpn`'s lists.
#[derive(Debug)]
pub(crate) struct ClientState {
    pub(crate) plain: Arc<ClientConfig>,
    pub(crate) istio_http1: Arc<ClientConfig>,
    pub(crate) istio_h2: Arc<ClientConfig>,
    pub(crate) http1: Arc<ClientConfig>,
    pub(crate) h2: Arc<ClientConfig>,
    pub(crate) has_alpn: bool,
    /// URI name of the certificate that is shown to servers.
    pub(crate) principal: Option<Arc<str>>,
}

impl UpstreamTls {
    /// `by_name` = where nothing says which names the server must prove, it must prove the one it is called by.
    pub(crate) fn compile(
        from: &tls::UpstreamTlsContext,
        secrets: &Arc<Secrets>,
        by_name: bool,
    ) -> Result<Arc<Self>, FieldError> {
        refuse_fields!(from, auto_host_sni, allow_renegotiation);
        let by_name = by_name || from.auto_sni_san_validation;
        let common = from.common_tls_context.clone().unwrap_or_default();
        let common = Common::compile(&common).within("common_tls_context")?;
        let context =
            Arc::new(Self { common, sni: from.sni.clone(), by_name, current: ArcSwapOption::empty() });
        let mut inner = secrets.inner.lock().unwrap_or_else(PoisonError::into_inner);
        context.refresh(&inner);
        inner.upstream.push(Arc::downgrade(&context));
        Ok(context)
    }

    /// What a new connection uses; `None` while a secret is missing.
    pub(crate) fn current(&self) -> Option<Arc<ClientState>> {
        self.current.load_full()
    }

    fn refresh(&self, inner: &Inner) {
        let (Some(identity), Some(trust)) =
            (inner.identity(&self.common.identity), inner.trust(&self.common.trust))
        else {
            return;
        };
        match self.build(identity.as_deref(), trust) {
            Ok(state) => self.current.store(Some(Arc::new(state))),
            Err(error) => tracing::warn!(%error, "a TLS context of a cluster keeps its last certificate"),
        }
    }

    fn build(&self, identity: Option<&Identity>, trust: Arc<Trust>) -> Result<ClientState, rustls::Error> {
        let provider = self.common.provider.clone();
        let judge = Upstream { trust, by_name: self.by_name };
        let verifier = ServerVerifier { judge, algorithms: provider.signature_verification_algorithms };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.common.versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut principal = None;
        let mut config = match identity {
            Some(identity) => {
                let (chain, key) = identity.copy();
                principal = principal_of(&chain);
                builder.with_client_cert_resolver(certified(chain, key, &PROVIDER)?)
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.common.alpn);
        let with = |list: &[&str]| {
            let mut other = config.clone();
            other.alpn_protocols = list.iter().map(|each| each.as_bytes().to_vec()).collect();
            Arc::new(other)
        };
        Ok(ClientState {
            istio_http1: with(&["istio-http/1.1", "istio", "http/1.1"]),
            istio_h2: with(&["istio-h2", "istio", "h2"]),
            http1: with(&["http/1.1"]),
            h2: with(&["h2"]),
            has_alpn: !config.alpn_protocols.is_empty(),
            principal,
            plain: Arc::new(config),
        })
    }
}
