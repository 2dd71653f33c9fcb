//! Resource quotas: what a namespace uses, and what it may not use beyond.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::operations::{Operations, Target};
use crate::node::quantity;

/// Amounts by the quota's names of resources.
type Amounts = BTreeMap<String, f64>;

/// Plurals that quotas count under their own name; all kinds are counted as `count/PLURAL.GROUP`.
const COUNTED: [&str; 7] = [
    "pods",
    "services",
    "configmaps",
    "secrets",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
];

impl Operations {
    /// Whether anything limits what a namespace may use.
    pub(crate) fn has_quota(&self, namespace: &str) -> bool {
        !namespace.is_empty() && !self.store.list("/resourcequotas", namespace).0.is_empty()
    }

    /// Refuses an object by which its namespace would exceed a quota.
    pub(crate) fn check_quota(&self, target: &Target, object: &Value) -> Result<(), ApiError> {
        let (quotas, _) = self.store.list("/resourcequotas", &target.namespace);
        let reference = &target.definition.reference;
        let key = (reference.group.as_ref(), reference.plural.as_ref());
        for quota in &quotas {
            let Some(hard) = quota["spec"]["hard"].as_object().filter(|_| in_scope(quota, key, object))
            else {
                continue;
            };
            let quota_name = quota["metadata"]["name"].as_str().unwrap_or("");
            let missing = unspecified(hard, key, object);
            if !missing.is_empty() {
                let why = format!("failed quota: {quota_name}: must specify {}", missing.join("; "));
                return Err(ApiError::forbidden(reference, &target.name, &why));
            }
            let asked = amounts(key, object);
            let used = self.used(quota);
            let over: Vec<&String> = hard
                .keys()
                .filter(|name| {
                    let limit = quantity::parse_value(&hard[*name]).unwrap_or(f64::MAX);
                    let more = asked.get(*name).copied().unwrap_or(0.0);
                    more > 0.0 && used.get(*name).copied().unwrap_or(0.0) + more > limit
                })
                .collect();
            if !over.is_empty() {
                let list = |amounts: &Amounts| {
                    let shown = |name: &&String| {
                        format!("{name}={}", written(name, amounts.get(*name).copied().unwrap_or(0.0)))
                    };
                    over.iter().map(shown).collect::<Vec<_>>().join(",")
                };
                let limits = hard
                    .iter()
                    .map(|(name, limit)| (name.clone(), quantity::parse_value(limit).unwrap_or(0.0)));
                let why = format!(
                    "exceeded quota: {quota_name}, requested: {}, used: {}, limited: {}",
                    list(&asked),
                    list(&used),
                    list(&limits.collect())
                );
                return Err(ApiError::forbidden(reference, &target.name, &why));
            }
        }
        Ok(())
    }

    /// The quota's status: its limits, and what is used of them.
    pub(crate) fn quota_status(&self, quota: &Value) -> Value {
        let used = self.used(quota);
        let hard = quota["spec"]["hard"].clone();
        let used: Map<String, Value> = hard
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| (name.clone(), json!(written(name, used.get(name).copied().unwrap_or(0.0)))))
            .collect();
        json!({"hard": hard, "used": used})
    }

    fn used(&self, quota: &Value) -> Amounts {
        let namespace = quota["metadata"]["namespace"].as_str().unwrap_or("");
        let mut used = Amounts::new();
        let resources = self.registry.current();
        for definition in resources.all().filter(|definition| definition.reference.namespaced) {
            let key = (definition.reference.group.as_ref(), definition.reference.plural.as_ref());
            if !is_limited(quota, key) {
                continue;
            }
            for object in self.store.list(&definition.table, namespace).0 {
                if in_scope(quota, key, &object) {
                    for (name, amount) in amounts(key, &object) {
                        *used.entry(name).or_default() += amount;
                    }
                }
            }
        }
        used
    }
}

fn counted_name((group, plural): (&str, &str)) -> String {
    if group.is_empty() { format!("count/{plural}") } else { format!("count/{plural}.{group}") }
}

fn is_limited(quota: &Value, key: (&str, &str)) -> bool {
    let Some(hard) = quota["spec"]["hard"].as_object() else { return false };
    hard.contains_key(&counted_name(key)) || (key.0.is_empty() && COUNTED.contains(&key.1))
}

/// What one object counts for.
fn amounts(key: (&str, &str), object: &Value) -> Amounts {
    let mut found = Amounts::from([(counted_name(key), 1.0)]);
    if !key.0.is_empty() || !COUNTED.contains(&key.1) {
        return found;
    }
    if key.1 == "pods" && matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return found;
    }
    found.insert(key.1.to_owned(), 1.0);
    match key.1 {
        "pods" => pod_amounts(object, &mut found),
        "services" => {
            let kind = object["spec"]["type"].as_str().unwrap_or("");
            let ports = object["spec"]["ports"].as_array().map_or(0, Vec::len) as f64;
            if kind == "LoadBalancer" {
                found.insert("services.loadbalancers".to_owned(), 1.0);
            }
            if matches!(kind, "LoadBalancer" | "NodePort") {
                found.insert("services.nodeports".to_owned(), ports);
            }
        }
        "persistentvolumeclaims" => {
            let size = quantity::parse_value(&object["spec"]["resources"]["requests"]["storage"]);
            found.insert("requests.storage".to_owned(), size.unwrap_or(0.0));
            if let Some(class) = object["spec"]["storageClassName"].as_str() {
                let prefix = format!("{class}.storageclass.storage.k8s.io");
                found.insert(format!("{prefix}/persistentvolumeclaims"), 1.0);
                found.insert(format!("{prefix}/requests.storage"), size.unwrap_or(0.0));
            }
        }
        _ => {}
    }
    found
}

/// A pod asks for the sum of its containers, or for the most that an init container asks for.
fn pod_amounts(pod: &Value, found: &mut Amounts) {
    for field in ["requests", "limits"] {
        let mut total = Amounts::new();
        let mut largest = Amounts::new();
        for (list, init) in [("containers", false), ("initContainers", true)] {
            for container in pod["spec"][list].as_array().into_iter().flatten() {
                let sidecar = init && container["restartPolicy"] == "Always";
                for (name, amount) in container["resources"][field].as_object().into_iter().flatten() {
                    let amount = quantity::parse_value(amount).unwrap_or(0.0);
                    if init && !sidecar {
                        let entry = largest.entry(name.clone()).or_default();
                        *entry = entry.max(amount);
                    } else {
                        *total.entry(name.clone()).or_default() += amount;
                    }
                }
            }
        }
        for (name, amount) in largest {
            let entry = total.entry(name).or_default();
            *entry = entry.max(amount);
        }
        for (name, amount) in total {
            if field == "requests" && matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
                found.insert(name.clone(), amount);
            }
            found.insert(format!("{field}.{name}"), amount);
        }
    }
}

/// Amounts that the quota limits and a container leaves open.
fn unspecified(hard: &Map<String, Value>, key: (&str, &str), object: &Value) -> Vec<String> {
    if key != ("", "pods") {
        return Vec::new();
    }
    let mut missing = Vec::new();
    for name in hard.keys() {
        let (field, resource) = match name.as_str() {
            "cpu" | "memory" => ("requests", name.as_str()),
            _ => match name.split_once('.') {
                Some((field @ ("requests" | "limits"), resource @ ("cpu" | "memory"))) => (field, resource),
                _ => continue,
            },
        };
        let containers = object["spec"]["containers"].as_array();
        let open: Vec<&str> = containers
            .into_iter()
            .flatten()
            .filter(|one| one["resources"][field][resource].is_null())
            .filter_map(|one| one["name"].as_str())
            .collect();
        if !open.is_empty() {
            missing.push(format!("{name} for: {}", open.join(",")));
        }
    }
    missing
}

/// Scopes narrow a quota down to some pods.
fn in_scope(quota: &Value, key: (&str, &str), object: &Value) -> bool {
    if !is_limited(quota, key) {
        return false;
    }
    let mut scopes: Vec<(&str, &Value)> = Vec::new();
    for scope in quota["spec"]["scopes"].as_array().into_iter().flatten() {
        scopes.push((scope.as_str().unwrap_or(""), &Value::Null));
    }
    for expression in quota["spec"]["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten() {
        scopes.push((expression["scopeName"].as_str().unwrap_or(""), expression));
    }
    if key != ("", "pods") {
        return scopes.is_empty();
    }
    let terminating = object["spec"]["activeDeadlineSeconds"].is_number();
    let best_effort = object["status"]["qosClass"] == "BestEffort";
    scopes.iter().all(|(scope, expression)| match *scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => {
            let class = &object["spec"]["priorityClassName"];
            let named = expression["values"].as_array().is_some_and(|values| values.contains(class));
            match expression["operator"].as_str() {
                Some("In") => named,
                Some("NotIn") => !named,
                Some("DoesNotExist") => class.as_str().unwrap_or("").is_empty(),
                _ => !class.as_str().unwrap_or("").is_empty(),
            }
        }
        _ => false,
    })
}

/// An amount as Kubernetes writes quantities: `500m` of a CPU, `64Mi` of memory.
pub(crate) fn written(name: &str, amount: f64) -> String {
    if name.ends_with("cpu") && amount.fract() != 0.0 {
        return format!("{:.0}m", (amount * 1000.0).round());
    }
    let whole = amount.round();
    if name.ends_with("memory") || name.ends_with("storage") {
        for (suffix, unit) in [("Gi", 1_073_741_824.0), ("Mi", 1_048_576.0), ("Ki", 1024.0)] {
            if whole >= unit && whole % unit == 0.0 {
                return format!("{:.0}{suffix}", whole / unit);
            }
        }
    }
    format!("{whole:.0}")
}
