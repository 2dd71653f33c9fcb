//! Which settings exist: everything in the default profile, what Kubernetes lets one tune on a component, and a short list of
//! optional ones. A setting outside is an error, because nothing would read it.

use sagene_api::istio::mesh_config::MeshConfig;
use sagene_api::schema::strict::{field_names, unknown_fields_of};
use serde_json::{Map, Value};

/// Settings below `components.<name>`.
const COMPONENT: [&str; 7] = ["enabled", "namespace", "hub", "tag", "name", "label", "k8s"];

/// Settings below `components.<name>.k8s`.
const KUBERNETES: [&str; 19] = [
    "affinity",
    "env",
    "hpaSpec",
    "imagePullPolicy",
    "nodeSelector",
    "overlays",
    "podAnnotations",
    "podDisruptionBudget",
    "priorityClassName",
    "readinessProbe",
    "replicaCount",
    "resources",
    "securityContext",
    "service",
    "serviceAnnotations",
    "strategy",
    "tolerations",
    "volumes",
    "volumeMounts",
];

/// `spec` keys besides `components` and `values`.
const TOP: [&str; 9] = [
    "profile",
    "hub",
    "tag",
    "revision",
    "namespace",
    "compatibilityVersion",
    "meshConfig",
    "components",
    "values",
];

/// Values that may be set although the default profile does not list them.
const OPTIONAL: [&str; 18] = [
    "profile",
    "meshConfig",
    "compatibilityVersion",
    "global.hub",
    "global.tag",
    "global.platform",
    "global.trustDomain",
    "global.variant",
    "global.remotePilotAddress",
    "global.certSigners",
    "istiodRemote.enabled",
    "istiodRemote.injectionURL",
    "istiodRemote.injectionPath",
    "telemetry.v2.enabled",
    "telemetry.v2.prometheus.enabled",
    "pilot.hub",
    "pilot.tag",
    "base.enableCRDTemplates",
];

/// Lists unknown paths below `spec`, each with a near known one where there is one.
pub(super) fn unknown(spec: &Value, defaults: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in entries(spec) {
        match key.as_str() {
            "components" => components(value, &mut found),
            "values" => {
                values(value, &defaults["values"], "", &mut found);
                mesh_config(&value["meshConfig"], "values.meshConfig", &mut found);
            }
            "meshConfig" => mesh_config(value, "meshConfig", &mut found),
            key if TOP.contains(&key) => {}
            key => found.push(named(key, TOP.iter().copied())),
        }
    }
    found
}

fn components(components: &Value, found: &mut Vec<String>) {
    const NAMES: [&str; 6] = ["base", "pilot", "cni", "ztunnel", "ingressGateways", "egressGateways"];
    for (name, value) in entries(components) {
        if !NAMES.contains(&name.as_str()) {
            found.push(named(
                &format!("components.{name}"),
                NAMES.iter().map(|name| format!("components.{name}")),
            ));
            continue;
        }
        let many: Vec<(String, &Value)> = match value.as_array() {
            Some(list) => list
                .iter()
                .enumerate()
                .map(|(index, item)| (format!("components.{name}[{index}]"), item))
                .collect(),
            None => vec![(format!("components.{name}"), value)],
        };
        for (path, component) in many {
            keys(component, &path, &COMPONENT, found);
            keys(&component["k8s"], &format!("{path}.k8s"), &KUBERNETES, found);
        }
    }
}

/// Settings of the mesh: the fields that MeshConfig has.
fn mesh_config(value: &Value, path: &str, found: &mut Vec<String>) {
    let known = field_names::<MeshConfig>();
    for field in unknown_fields_of::<MeshConfig>(value) {
        let near = known.iter().map(|known| format!("{path}.{known}"));
        found.push(named(&format!("{path}.{field}"), near));
    }
}

fn keys(value: &Value, path: &str, known: &[&str], found: &mut Vec<String>) {
    for (key, _) in entries(value) {
        if !known.contains(&key.as_str()) {
            found.push(named(&format!("{path}.{key}"), known.iter().map(|known| format!("{path}.{known}"))));
        }
    }
}

fn values(given: &Value, known: &Value, prefix: &str, found: &mut Vec<String>) {
    let known_map = known.as_object();
    for (key, value) in entries(given) {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if OPTIONAL.contains(&path.as_str()) {
            continue;
        }
        let partly_optional = OPTIONAL.iter().any(|optional| optional.starts_with(&format!("{path}.")));
        match known_map.and_then(|map| map.get(key)) {
            // An empty map or a scalar in the defaults is a setting; what is below it is free.
            Some(Value::Object(below)) if !below.is_empty() => {
                values(value, &Value::Object(below.clone()), &path, found)
            }
            Some(_) => {}
            None if partly_optional => values(value, &Value::Null, &path, found),
            None => {
                let near = known_map.into_iter().flatten().map(|(known, _)| {
                    if prefix.is_empty() {
                        format!("values.{known}")
                    } else {
                        format!("values.{prefix}.{known}")
                    }
                });
                found.push(named(&format!("values.{path}"), near));
            }
        }
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// The path, with the nearest known one when it is near enough to be meant.
fn named<S: AsRef<str>>(path: &str, known: impl Iterator<Item = S>) -> String {
    let best = known
        .map(|candidate| (strsim::levenshtein(path, candidate.as_ref()), candidate.as_ref().to_owned()))
        .min();
    match best {
        Some((distance, candidate)) if distance <= 3 => format!("{path:?} (did you mean {candidate:?}?)"),
        _ => format!("{path:?}"),
    }
}
