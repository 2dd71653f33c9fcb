//! Who may connect, and what a connected proxy gets.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use futures::future::BoxFuture;
use http::request::Parts;
use sagene_model::Identity;
use sagene_xds::{
    Resource, ResourceSet,
    server::{Connection, Handler},
    session::{Requested, Response, TypeRules, Verdict},
    type_url,
};
use tonic::Status;
use tracing::{debug, info, warn};

use super::{Discovery, Peer};
use crate::{
    debug,
    generate::{Proxy, ProxyError},
    metrics::escape,
    security::{authentication::Encrypted, certificate_service::refused},
};

/// The part of `istio.mesh.v1alpha1.ProxyConfig` that is sent to agents: what to trust.
#[derive(Clone, PartialEq, prost::Message)]
struct TrustBundle {
    #[prost(string, repeated, tag = "34")]
    ca_certificates_pem: Vec<String>,
}

impl Handler for Discovery {
    type Peer = Peer;

    fn admit<'a>(&'a self, parts: &'a Parts, node: &'a Node) -> BoxFuture<'a, Result<Peer, Status>> {
        Box::pin(async move {
            if !self.is_synced() {
                return Err(Status::unavailable("the control plane has not read the cluster yet, try again"));
            }
            let caller = match parts.extensions.get::<Encrypted>() {
                Some(_) => {
                    let caller = self.authenticator.caller(&parts.headers, &parts.extensions).await;
                    Some(caller.map_err(|error| refused(&error))?)
                }
                None => None,
            };
            let proxy = match Proxy::parse(node) {
                Ok(proxy) => Some(proxy),
                Err(ProxyError::Type(_)) => None,
                Err(_) if is_tool(&node.id) => None,
                Err(error) => return Err(Status::invalid_argument(error.to_string())),
            };
            if let (Some(caller), Some(proxy)) = (&caller, &proxy) {
                check_identity(caller, proxy)?;
            }
            // Gateways nearly always ask for some: the first answer should have them.
            if let (Some(caller), Some(proxy)) = (&caller, &proxy)
                && !proxy.is_sidecar()
                && !self.secret_access.is_known(caller)
            {
                let word = self.authenticator.may_list_secrets(caller).await;
                self.secret_access.learn(caller, word);
            }
            info!(node = %node.id, caller = caller.as_ref().map(tracing::field::display), "connected");
            Ok(Peer::new(proxy, caller))
        })
    }

    fn rules(&self, type_url: &str) -> Option<TypeRules> {
        let (wildcard, removals) = match type_url {
            type_url::CLUSTER | type_url::LISTENER | type_url::NAME_TABLE | type_url::PROXY_CONFIG => {
                (true, true)
            }
            type_url::ENDPOINT | type_url::ROUTE | type_url::SECRET => (false, true),
            type_url::EXTENSION_CONFIG => (false, false),
            _ => return None,
        };
        Some(TypeRules { wildcard, removals })
    }

    fn fetch(&self, peer: &Peer, type_url: &str, requested: Requested<'_>) -> Arc<ResourceSet> {
        let Some(proxy) = &peer.proxy else { return Arc::default() };
        match type_url {
            type_url::PROXY_CONFIG => self.trust_bundle(),
            type_url::SECRET => self.secrets(proxy, peer.caller.as_ref(), requested),
            _ => self.index.load().requested(proxy, type_url, requested),
        }
    }

    fn answer<'a>(
        &'a self,
        connection: &'a Arc<Connection<Peer>>,
        type_url: &'a str,
        names: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Vec<Bytes>>, Status>> {
        Box::pin(async move {
            match type_url {
                type_url::DEBUG | type_url::DEBUG_SYNC | type_url::DEBUG_CONFIG_DUMP => {
                    debug::over_discovery(self, &connection.peer, type_url, names).map(Some)
                }
                _ => {
                    debug!(node = %connection.node.id, type_url, "no resources of this type here");
                    Ok(None)
                }
            }
        })
    }

    fn noted(&self, connection: &Connection<Peer>, type_url: &str, verdict: &Verdict) {
        let short = type_url::short_name(type_url).to_lowercase();
        match verdict {
            Verdict::Nack(message) => {
                connection.peer.refused.store(true, Ordering::Relaxed);
                self.refusals.send_replace(());
                warn!(node = %connection.node.id, type_url = short, message, "configuration rejected by the proxy");
                self.metrics.count("pilot_total_xds_rejects", &format!("type=\"{short}\""));
                let labels =
                    format!("node=\"{}\",err=\"{}\"", escape(&connection.node.id), "INVALID_ARGUMENT");
                match type_url {
                    type_url::CLUSTER => self.metrics.count("pilot_xds_cds_reject", &labels),
                    type_url::ENDPOINT => self.metrics.count("pilot_xds_eds_reject", &labels),
                    type_url::LISTENER => self.metrics.count("pilot_xds_lds_reject", &labels),
                    type_url::ROUTE => self.metrics.count("pilot_xds_rds_reject", &labels),
                    _ => {}
                }
            }
            Verdict::Stale => self.metrics.count("pilot_xds_expired_nonce", &format!("type=\"{short}\"")),
            Verdict::Ack if connection.peer.has_refused() => self.refusals.send_replace(()),
            Verdict::Ack | Verdict::Subscribed | Verdict::Ignored => {}
        }
    }

    fn sent(&self, connection: &Connection<Peer>, response: &Response, took: Duration) {
        let short = type_url::short_name(&response.type_url).to_lowercase();
        let labels = format!("type=\"{short}\"");
        self.metrics.count("pilot_xds_pushes", &labels);
        self.metrics.observe("pilot_xds_push_time", &labels, took);
        debug!(
            node = %connection.node.id, type_url = short, resources = response.resources.len(),
            removed = response.removed.len(), nonce = response.nonce, "pushed"
        );
    }

    fn identifier(&self) -> &str {
        &self.identifier
    }
}

impl Discovery {
    /// All of a proxy on the encrypted port that may list secrets; of another one, those that a Gateway it serves was granted by name.
    fn secrets(
        &self,
        proxy: &Proxy,
        caller: Option<&Identity>,
        requested: Requested<'_>,
    ) -> Arc<ResourceSet> {
        let (Requested::Names(names), Some(caller)) = (requested, caller) else { return Arc::default() };
        let index = self.index.load();
        if self.secret_access.allows(caller) {
            return index.requested(proxy, type_url::SECRET, Requested::Names(names));
        }
        let allowed: Vec<_> =
            names.iter().filter(|name| index.is_verified_secret(proxy, caller, name)).cloned().collect();
        index.requested(proxy, type_url::SECRET, Requested::Names(&allowed))
    }

    fn trust_bundle(&self) -> Arc<ResourceSet> {
        let bundle = TrustBundle { ca_certificates_pem: vec![self.authorities.current().roots.clone()] };
        let resource = Resource::encode("", type_url::PROXY_CONFIG, &bundle);
        ResourceSet::new(vec![Arc::new(resource)])
    }
}

/// Ids that command lines use when they only ask for debug views.
fn is_tool(id: &str) -> bool {
    id.contains("istioctl") || id.contains("~debug~") || id.starts_with("debug~")
}

/// A workload may only be the proxy of its own namespace and service account.
fn check_identity(caller: &Identity, proxy: &Proxy) -> Result<(), Status> {
    let same_account = proxy.service_account.is_empty() || proxy.service_account == caller.service_account;
    if caller.namespace == proxy.namespace && same_account {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "{caller} may not act for proxy {} (namespace {}, service account {:?})",
        proxy.id, proxy.namespace, proxy.service_account
    )))
}
