//! CustomResourceDefinitions of every Istio kind, generated from the types: what the API server then accepts is what the
//! control plane can read.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
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
use crate::schema::structural;

/// What a CRD says beside its schema.
#[derive(Default)]
struct Traits {
    short_names: &'static [&'static str],
    /// Columns of `kubectl get`: name, JSON path, meaning.
    columns: &'static [(&'static str, &'static str, &'static str)],
    /// Whether an object without `spec` is refused.
    spec_required: bool,
}

const AGE: (&str, &str, &str) = ("Age", ".metadata.creationTimestamp", "When the object was created.");

/// All definitions, in the order of group and kind.
pub fn all() -> Vec<Value> {
    ALL.clone()
}

/// The schema of `spec` of an Istio kind.
pub(crate) fn spec_schema(kind: &str) -> Option<&'static Value> {
    SPECS.get(kind)
}

static ALL: LazyLock<Vec<Value>> =
    LazyLock::new(|| [extensions(), networking(), security(), telemetry()].concat());

static SPECS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let entry = |crd: &Value| {
        let kind = crd["spec"]["names"]["kind"].as_str()?.to_owned();
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")?.clone();
        Some((kind, schema))
    };
    ALL.iter().filter_map(entry).collect()
});

fn extensions() -> Vec<Value> {
    let traits = || Traits { columns: &[AGE], spec_required: true, ..Traits::default() };
    vec![
        definition::<TrafficExtension, IstioStatus>(&traits()),
        definition::<WasmPlugin, IstioStatus>(&traits()),
    ]
}

fn networking() -> Vec<Value> {
    vec![
        definition::<DestinationRule, IstioStatus>(&Traits {
            short_names: &["dr"],
            columns: &[("Host", ".spec.host", "The service the rule is for."), AGE],
            ..Traits::default()
        }),
        definition::<EnvoyFilter, IstioStatus>(&Traits::default()),
        definition::<Gateway, IstioStatus>(&Traits { short_names: &["gw"], ..Traits::default() }),
        definition::<ProxyConfig, IstioStatus>(&Traits::default()),
        definition::<ServiceEntry, ServiceEntryStatus>(&Traits {
            short_names: &["se"],
            columns: &[
                ("Hosts", ".spec.hosts", "The names of the service."),
                ("Location", ".spec.location", "Whether the service belongs to the mesh."),
                ("Resolution", ".spec.resolution", "How addresses of endpoints are found."),
                AGE,
            ],
            spec_required: true,
        }),
        definition::<Sidecar, IstioStatus>(&Traits::default()),
        definition::<VirtualService, IstioStatus>(&Traits {
            short_names: &["vs"],
            columns: &[
                ("Gateways", ".spec.gateways", "The gateways and sidecars the routes apply to."),
                ("Hosts", ".spec.hosts", "The hosts traffic is sent to."),
                AGE,
            ],
            ..Traits::default()
        }),
        definition::<WorkloadEntry, IstioStatus>(&Traits {
            short_names: &["we"],
            columns: &[AGE, ("Address", ".spec.address", "The address of the workload.")],
            spec_required: true,
        }),
        definition::<WorkloadGroup, IstioStatus>(&Traits {
            short_names: &["wg"],
            columns: &[AGE],
            spec_required: true,
        }),
    ]
}

fn security() -> Vec<Value> {
    vec![
        definition::<AuthorizationPolicy, IstioStatus>(&Traits {
            short_names: &["ap"],
            columns: &[("Action", ".spec.action", "What happens to requests that match."), AGE],
            ..Traits::default()
        }),
        definition::<PeerAuthentication, IstioStatus>(&Traits {
            short_names: &["pa"],
            columns: &[("Mode", ".spec.mtls.mode", "Whether connections must be mutual TLS."), AGE],
            ..Traits::default()
        }),
        definition::<RequestAuthentication, IstioStatus>(&Traits {
            short_names: &["ra"],
            ..Traits::default()
        }),
    ]
}

fn telemetry() -> Vec<Value> {
    let traits = Traits { short_names: &["telemetry"], columns: &[AGE], ..Traits::default() };
    vec![definition::<Telemetry, IstioStatus>(&traits)]
}

fn definition<S: Resource + JsonSchema, Status: JsonSchema>(traits: &Traits) -> Value {
    let schema = schema::<S, Status>(traits);
    let versions =
        S::VERSIONS.iter().map(|version| self::version(version, *version == S::VERSION, &schema, traits));
    let singular = S::KIND.to_lowercase();
    let group = S::GROUP.replace('.', "-");
    let mut labels = json!({ "app": "istio-pilot" });
    if let Some(area @ ("security" | "telemetry")) = S::GROUP.split('.').next() {
        labels["istio"] = json!(area);
    }
    let mut names = json!({
        "kind": S::KIND, "listKind": format!("{}List", S::KIND), "plural": S::PLURAL, "singular": singular,
        "categories": ["istio-io", group],
    });
    if !traits.short_names.is_empty() {
        names["shortNames"] = json!(traits.short_names);
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{}", S::PLURAL, S::GROUP),
            "annotations": { "helm.sh/resource-policy": "keep" },
            "labels": labels,
        },
        "spec": { "group": S::GROUP, "names": names, "scope": "Namespaced", "versions": versions.collect::<Vec<_>>() },
    })
}

fn schema<S: JsonSchema, Status: JsonSchema>(traits: &Traits) -> Value {
    let mut status = structural::of::<Status>();
    status["x-kubernetes-preserve-unknown-fields"] = json!(true);
    let mut schema =
        json!({ "type": "object", "properties": { "spec": structural::of::<S>(), "status": status } });
    if traits.spec_required {
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
