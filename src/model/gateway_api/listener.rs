//! Listeners of Gateways: which are served, where, and with which certificate.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::SortedMap;
use sagene_api::gateway_api::KubernetesGateway;
use sagene_api::gateway_api::gateway::Listener;
use sagene_api::istio::networking::Gateway;
use sagene_api::istio::networking::gateway::{Port, Server, ServerTlsMode, ServerTlsSettings};

use super::backend::is_granted;
use super::{GATEWAY_SERVICE, PARENTS, derived};
use crate::hostname::Hostname;
use crate::mesh::Mesh;
use crate::snapshot::Snapshot;

/// Label of the pods that serve a managed Gateway.
pub const GATEWAY_NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
/// Controllers whose Gateways are ours to serve.
const CONTROLLERS: [&str; 2] = ["istio.io/gateway-controller", "istio.io/unmanaged-gateway"];
/// Classes that are there without an object.
const BUILT_IN: [&str; 2] = ["istio", "istio-remote"];

/// Namespace and name of a Gateway, and name of a listener.
pub(super) type ListenerKey = (String, String, String);

/// What is wrong with a listener: type of the condition, reason, message.
pub(super) type Problem = (&'static str, &'static str, String);

/// A listener of a Gateway of ours.
pub(super) struct OpenListener<'a> {
    pub(super) gateway: &'a Arc<Object<KubernetesGateway>>,
    pub(super) listener: &'a Listener,
    /// The Service whose pods serve it, as `name.namespace`.
    service: String,
    selector: SortedMap<String, String>,
    tls: Option<ServerTlsSettings>,
    pub(super) problem: Option<Problem>,
}

/// True for Gateways of a class that is served here.
pub fn is_ours(snapshot: &Snapshot, gateway: &KubernetesGateway) -> bool {
    let class = gateway.gateway_class_name.as_str();
    match snapshot.gateway_classes.get("", class) {
        Some(known) => CONTROLLERS.contains(&known.spec.controller_name.as_str()),
        None => BUILT_IN.contains(&class),
    }
}

/// True where Deployment and Service of a Gateway are made for it: its class says so and it names no Service of its own.
pub fn is_managed(snapshot: &Snapshot, gateway: &KubernetesGateway) -> bool {
    let class = snapshot.gateway_classes.get("", &gateway.gateway_class_name);
    let unmanaged = class.is_some_and(|class| class.spec.controller_name == CONTROLLERS[1]);
    !unmanaged && named_service(gateway).is_none()
}

fn named_service(gateway: &KubernetesGateway) -> Option<&str> {
    gateway
        .addresses
        .iter()
        .find(|address| address.r#type == "Hostname" && !address.value.is_empty())
        .map(|one| one.value.as_str())
}

/// Namespace and name of the Service in front of a Gateway.
pub fn service_name(gateway: &Object<KubernetesGateway>) -> (String, String) {
    let own = &gateway.metadata.namespace;
    match named_service(&gateway.spec) {
        Some(host) => {
            let mut parts = host.split('.');
            let name = parts.next().unwrap_or_default().to_owned();
            (parts.next().unwrap_or(own).to_owned(), name)
        }
        None => {
            let stated = gateway.metadata.annotations.get("gateway.istio.io/name-override");
            let name = || format!("{}-{}", gateway.metadata.name, gateway.spec.gateway_class_name);
            (own.clone(), stated.cloned().unwrap_or_else(name))
        }
    }
}

/// Every listener of Gateways that are served here, in the order of their objects.
pub(super) fn of_snapshot<'a>(snapshot: &'a Snapshot, mesh: &Mesh) -> Vec<OpenListener<'a>> {
    let ours = snapshot.kubernetes_gateways.iter().filter(|gateway| is_ours(snapshot, &gateway.spec));
    ours.flat_map(|gateway| {
        gateway.spec.listeners.iter().map(move |listener| open(snapshot, mesh, gateway, listener))
    })
    .collect()
}

fn open<'a>(
    snapshot: &Snapshot,
    _mesh: &Mesh,
    gateway: &'a Arc<Object<KubernetesGateway>>,
    listener: &'a Listener,
) -> OpenListener<'a> {
    let (namespace, name) = service_name(gateway);
    let selector = if named_service(&gateway.spec).is_some() {
        let service = snapshot.services.get(&namespace, &name);
        service.map(|service| service.spec.selector.clone()).unwrap_or_default()
    } else {
        [(GATEWAY_NAME_LABEL.to_owned(), gateway.metadata.name.clone())].into()
    };
    let (tls, problem) = match tls(snapshot, gateway, listener) {
        Ok(tls) => (tls, None),
        Err(problem) => (None, Some(problem)),
    };
    OpenListener { gateway, listener, service: format!("{name}.{namespace}"), selector, tls, problem }
}

fn tls(
    snapshot: &Snapshot,
    gateway: &Object<KubernetesGateway>,
    listener: &Listener,
) -> Result<Option<ServerTlsSettings>, Problem> {
    let wanted = match listener.protocol.as_str() {
        "HTTP" | "TCP" => return Ok(None),
        "HTTPS" | "TLS" => listener.tls.clone().unwrap_or_default(),
        other => {
            let message = format!("protocol {other:?} is not served: use HTTP, HTTPS, TLS or TCP");
            return Err(("Accepted", "UnsupportedProtocol", message));
        }
    };
    if wanted.mode == "Passthrough" {
        return Ok(Some(ServerTlsSettings { mode: ServerTlsMode::Passthrough, ..Default::default() }));
    }
    let option = wanted.options.get("gateway.istio.io/tls-terminate-mode").map(String::as_str);
    let mode = match option {
        None | Some("SIMPLE") => ServerTlsMode::Simple,
        Some("MUTUAL") => ServerTlsMode::Mutual,
        Some("OPTIONAL_MUTUAL") => ServerTlsMode::OptionalMutual,
        Some("ISTIO_MUTUAL") => ServerTlsMode::IstioMutual,
        Some(other) => {
            let message = format!("tls-terminate-mode {other:?} is not known");
            return Err(("Accepted", "Invalid", message));
        }
    };
    let ciphers = wanted.options.get("gateway.istio.io/tls-cipher-suites");
    let mut settings = ServerTlsSettings {
        mode,
        cipher_suites: ciphers
            .map(|list| list.split(',').map(|one| one.trim().to_owned()).collect())
            .unwrap_or_default(),
        ..ServerTlsSettings::default()
    };
    if mode != ServerTlsMode::IstioMutual {
        settings.credential_name = credential(snapshot, gateway, &wanted)?;
    }
    Ok(Some(settings))
}

fn credential(
    snapshot: &Snapshot,
    gateway: &Object<KubernetesGateway>,
    tls: &sagene_api::gateway_api::gateway::ListenerTls,
) -> Result<String, Problem> {
    let invalid = |message: String| ("ResolvedRefs", "InvalidCertificateRef", message);
    let Some(certificate) = tls.certificate_refs.first() else {
        return Err(invalid("tls.certificateRefs names no Secret".to_owned()));
    };
    if !matches!(certificate.kind.as_str(), "" | "Secret") || !certificate.group.is_empty() {
        return Err(invalid(format!("{} {} is no Secret", certificate.kind, certificate.name)));
    }
    let own = gateway.metadata.namespace.as_str();
    let namespace = if certificate.namespace.is_empty() { own } else { certificate.namespace.as_str() };
    if !is_granted(snapshot, ("Gateway", own), ("Secret", namespace, &certificate.name)) {
        let message = format!("Secret {namespace}/{} is not granted by a ReferenceGrant", certificate.name);
        return Err(("ResolvedRefs", "RefNotPermitted", message));
    }
    let Some(secret) = snapshot.secrets.get(namespace, &certificate.name) else {
        return Err(invalid(format!("Secret {namespace}/{} does not exist", certificate.name)));
    };
    let has = |keys: [&str; 2]| keys.iter().any(|key| secret.spec.data.contains_key(*key));
    if !has(["tls.crt", "cert"]) || !has(["tls.key", "key"]) {
        let message =
            format!("Secret {namespace}/{} has no certificate and key (tls.crt, tls.key)", certificate.name);
        return Err(invalid(message));
    }
    Ok(format!("kubernetes-gateway://{namespace}/{}", certificate.name))
}

impl OpenListener<'_> {
    pub(super) fn key(&self) -> ListenerKey {
        let metadata = &self.gateway.metadata;
        (metadata.namespace.clone(), metadata.name.clone(), self.listener.name.clone())
    }

    /// Name of what it becomes.
    pub(super) fn internal_name(&self) -> String {
        format!("{}~istio-autogenerated-k8s-gateway~{}", self.gateway.metadata.name, self.listener.name)
    }

    /// `namespace/name` of what it becomes, as VirtualServices bind to it.
    pub(super) fn internal_reference(&self) -> String {
        format!("{}/{}", self.gateway.metadata.namespace, self.internal_name())
    }

    /// Its host; `*` for all.
    pub(super) fn host(&self) -> Hostname {
        Hostname::new(if self.listener.hostname.is_empty() { "*" } else { &self.listener.hostname })
    }

    /// The Gateway it becomes; `None` where it cannot be served.
    pub(super) fn gateway(&self) -> Option<Arc<Object<Gateway>>> {
        if self.problem.is_some() || self.selector.is_empty() {
            return None;
        }
        let server = Server {
            name: self.listener.name.clone(),
            port: Port {
                number: u32::from(self.listener.port),
                protocol: self.listener.protocol.clone(),
                name: "default".to_owned(),
                target_port: 0,
            },
            hosts: vec![format!("*/{}", self.host())],
            tls: self.tls.clone(),
            ..Server::default()
        };
        let spec = Gateway { servers: vec![server], selector: self.selector.clone() };
        let metadata = &self.gateway.metadata;
        let parents = format!("Gateway/{}/{}.{}", metadata.name, self.listener.name, metadata.namespace);
        let annotations = [(GATEWAY_SERVICE, self.service.clone()), (PARENTS, parents)];
        Some(derived(
            &metadata.namespace,
            &self.internal_name(),
            metadata.creation_timestamp,
            annotations,
            spec,
        ))
    }
}
