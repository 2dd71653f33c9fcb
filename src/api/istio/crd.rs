//! CustomResourceDefinitions of every Istio kind, generated from the types: what the API server then accepts is what the
//! control plane can read.

#[cfg(test)]
mod tests;

use std::sync::{LazyLock, OnceLock};

use serde_json::{Value, json};

use super::extensions::{TrafficExtension, WasmPlugin};
use super::networking::service_entry::ServiceEntryStatus;
use super::networking::{
    DestinationRule, EnvoyFilter, Gateway, ProxyConfig, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
    WorkloadGroup,
};
use super::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
use super::status::IstioStatus;
use super::telemetry::Telemetry;
use crate::object::Resource;
use crate::schema::definition::names;
use crate::shape::Shape;

/// What a CRD says beside its schema.
#[derive(Default)]
struct Traits {
    short_names: &'static [&'static str],
    /// Columns of `kubectl get`: name, JSON path, meaning.
    columns: &'static [(&'static str, &'static str, &'static str)],
    /// Whether an object without `spec` is refused.
    spec_required: bool,
}

/// A kind of Istio's and how it is defined. Schemas are made when they are asked for: most programs need those of a kind or two.
pub struct DefinedKind {
    /// API group.
    pub group: &'static str,
    /// Name of the kind.
    pub kind: &'static str,
    /// Every served version, storage version first.
    pub versions: &'static [&'static str],
    plural: &'static str,
    traits: Traits,
    spec: OnceLock<Value>,
    make_spec: fn() -> Value,
    make_status: fn() -> Value,
}

impl DefinedKind {
    fn of<S: Resource + Shape, Status: Shape>(traits: Traits) -> Self {
        Self {
            group: S::GROUP,
            kind: S::KIND,
            versions: S::VERSIONS,
            plural: S::PLURAL,
            traits,
            spec: OnceLock::new(),
            make_spec: S::schema,
            make_status: Status::schema,
        }
    }

    /// The structural schema of `spec`.
    pub fn spec(&self) -> &Value {
        self.spec.get_or_init(self.make_spec)
    }

    /// Whether an object without `spec` is refused.
    pub const fn is_spec_required(&self) -> bool {
        self.traits.spec_required
    }
}

const AGE: (&str, &str, &str) = ("Age", ".metadata.creationTimestamp", "When the object was created.");

/// All definitions, in the order of group and kind.
pub fn all() -> Vec<Value> {
    ALL.clone()
}

/// All kinds, in the order of group and kind.
pub fn kinds() -> &'static [DefinedKind] {
    &KINDS
}

/// The schema of `spec` of an Istio kind.
pub(crate) fn spec_schema(kind: &str) -> Option<&'static Value> {
    KINDS.iter().find(|defined| defined.kind == kind).map(DefinedKind::spec)
}

static ALL: LazyLock<Vec<Value>> = LazyLock::new(|| KINDS.iter().map(definition).collect());

static KINDS: LazyLock<Vec<DefinedKind>> = LazyLock::new(|| {
    extensions().into_iter().chain(networking()).chain(security()).chain(telemetry()).collect()
});

fn extensions() -> Vec<DefinedKind> {
    let traits = || Traits { columns: &[AGE], spec_required: true, ..Traits::default() };
    vec![
        DefinedKind::of::<TrafficExtension, IstioStatus>(traits()),
        DefinedKind::of::<WasmPlugin, IstioStatus>(traits()),
    ]
}

fn networking() -> Vec<DefinedKind> {
    vec![
        DefinedKind::of::<DestinationRule, IstioStatus>(Traits {
            short_names: &["dr"],
            columns: &[("Host", ".spec.host", "The service the rule is for."), AGE],
            ..Traits::default()
        }),
        DefinedKind::of::<EnvoyFilter, IstioStatus>(Traits::default()),
        DefinedKind::of::<Gateway, IstioStatus>(Traits { short_names: &["gw"], ..Traits::default() }),
        DefinedKind::of::<ProxyConfig, IstioStatus>(Traits::default()),
        DefinedKind::of::<ServiceEntry, ServiceEntryStatus>(Traits {
            short_names: &["se"],
            columns: &[
                ("Hosts", ".spec.hosts", "The names of the service."),
                ("Location", ".spec.location", "Whether the service belongs to the mesh."),
                ("Resolution", ".spec.resolution", "How addresses of endpoints are found."),
                AGE,
            ],
            spec_required: true,
        }),
        DefinedKind::of::<Sidecar, IstioStatus>(Traits::default()),
        DefinedKind::of::<VirtualService, IstioStatus>(Traits {
            short_names: &["vs"],
            columns: &[
                ("Gateways", ".spec.gateways", "The gateways and sidecars the routes apply to."),
                ("Hosts", ".spec.hosts", "The hosts traffic is sent to."),
                AGE,
            ],
            ..Traits::default()
        }),
        DefinedKind::of::<WorkloadEntry, IstioStatus>(Traits {
            short_names: &["we"],
            columns: &[AGE, ("Address", ".spec.address", "The address of the workload.")],
            spec_required: true,
        }),
        DefinedKind::of::<WorkloadGroup, IstioStatus>(Traits {
            short_names: &["wg"],
            columns: &[AGE],
            spec_required: true,
        }),
    ]
}

fn security() -> Vec<DefinedKind> {
    vec![
        DefinedKind::of::<AuthorizationPolicy, IstioStatus>(Traits {
            short_names: &["ap"],
            columns: &[("Action", ".spec.action", "What happens to requests that match."), AGE],
            ..Traits::default()
        }),
        DefinedKind::of::<PeerAuthentication, IstioStatus>(Traits {
            short_names: &["pa"],
            columns: &[("Mode", ".spec.mtls.mode", "Whether connections must be mutual TLS."), AGE],
            ..Traits::default()
        }),
        DefinedKind::of::<RequestAuthentication, IstioStatus>(Traits {
            short_names: &["ra"],
            ..Traits::default()
        }),
    ]
}

fn telemetry() -> Vec<DefinedKind> {
    let traits = Traits { short_names: &["telemetry"], columns: &[AGE], ..Traits::default() };
    vec![DefinedKind::of::<Telemetry, IstioStatus>(traits)]
}

fn definition(of: &DefinedKind) -> Value {
    let schema = schema(of);
    let (storage, traits) = (of.versions.first(), &of.traits);
    let versions = of.versions.iter().map(|name| version(name, Some(name) == storage, &schema, traits));
    let group = of.group.replace('.', "-");
    let names = names(of.kind, of.plural, &["istio-io", &group], traits.short_names);
    let mut labels = json!({ "app": "istio-pilot" });
    if let Some(area @ ("security" | "telemetry")) = of.group.split('.').next() {
        labels["istio"] = json!(area);
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{}", of.plural, of.group),
            "annotations": { "helm.sh/resource-policy": "keep" },
            "labels": labels,
        },
        "spec": { "group": of.group, "names": names, "scope": "Namespaced", "versions": versions.collect::<Vec<_>>() },
    })
}

fn schema(of: &DefinedKind) -> Value {
    let mut status = (of.make_status)();
    status["x-kubernetes-preserve-unknown-fields"] = json!(true);
    let mut schema = json!({ "type": "object", "properties": { "spec": of.spec(), "status": status } });
    if of.traits.spec_required {
        schema["required"] = json!(["spec"]);
    }
    schema
}

fn version(name: &str, storage: bool, schema: &Value, traits: &Traits) -> Value {
    let mut version = json!({
        "name": name, "served": true, "storage": storage,
        "schema": { "openAPIV3Schema": schema },
        "subresources": { "status": {} },
    });
    let column = |(name, path, meaning): &(&str, &str, &str)| {
        let kind = if *name == "Age" { "date" } else { "string" };
        json!({ "name": name, "type": kind, "jsonPath": path, "description": meaning })
    };
    if !traits.columns.is_empty() {
        version["additionalPrinterColumns"] = traits.columns.iter().map(column).collect();
    }
    version
}
