//! How layers of the mesh configuration are combined: a later layer replaces each field it sets, except that
//! `defaultConfig` and `defaultProviders` are merged field by field, `extensionProviders` by name, and
//! `trustDomainAliases` is appended.

use serde_json::{Map, Value, json};

/// What the mesh configuration is before anything is said: the providers every mesh has. All other defaults stand in the
/// types.
pub fn default_layer() -> Value {
    json!({ "extensionProviders": [
        { "name": "prometheus", "prometheus": {} },
        { "name": "stackdriver", "stackdriver": {} },
        { "name": "envoy", "envoyFileAccessLog": { "path": "/dev/stdout" } },
    ] })
}

/// Puts `layer` over `base`.
pub fn merge_mesh_layer(base: &mut Value, layer: Value) {
    let (Value::Object(base), Value::Object(layer)) = (base, layer) else { return };
    for (key, value) in layer.into_iter().filter(|(_, value)| !value.is_null()) {
        let slot = base.entry(key.clone()).or_insert(Value::Null);
        match key.as_str() {
            "defaultConfig" | "defaultProviders" => merge_deep(slot, value),
            "extensionProviders" => merge_by_name(slot, value),
            "trustDomainAliases" => append(slot, value),
            _ => *slot = without_nulls(value),
        }
    }
}

/// Puts `overlay` over `base`, object by object; lists and scalars are replaced, `null` says nothing. This is also how a
/// pod's `proxy.istio.io/config` annotation and ProxyConfig resources change the default proxy configuration.
pub fn merge_deep(base: &mut Value, overlay: Value) {
    match (base, overlay) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                merge_deep(base.entry(key).or_insert(Value::Null), value);
            }
            base.retain(|_, value| !value.is_null());
        }
        (slot, value) => *slot = without_nulls(value),
    }
}

fn merge_by_name(slot: &mut Value, value: Value) {
    let Value::Array(new) = value else { return };
    let mut all = std::mem::take(slot).as_array().cloned().unwrap_or_default();
    for provider in new.into_iter().map(without_nulls) {
        match all.iter_mut().find(|old| old.get("name") == provider.get("name")) {
            Some(old) => *old = provider,
            None => all.push(provider),
        }
    }
    *slot = Value::Array(all);
}

fn append(slot: &mut Value, value: Value) {
    let mut all = std::mem::take(slot).as_array().cloned().unwrap_or_default();
    all.extend(value.as_array().into_iter().flatten().cloned());
    *slot = Value::Array(all);
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k, without_nulls(v)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::MeshConfig;
    use serde_json::json;

    #[test]
    fn later_layers_replace_fields_and_merge_the_named_exceptions() -> Result<(), Box<dyn std::error::Error>>
    {
        let mesh = MeshConfig::from_layers([
            json!({ "trustDomain": "a", "trustDomainAliases": ["x"], "accessLogFile": "/dev/stdout",
                    "defaultConfig": { "proxyMetadata": { "A": "1" }, "concurrency": 2 } }),
            json!({ "trustDomain": "b", "trustDomainAliases": ["y"], "enableAutoMtls": null,
                    "extensionProviders": [{ "name": "envoy", "envoyFileAccessLog": { "path": "/log" } }],
                    "defaultConfig": { "proxyMetadata": { "B": "2" } } }),
        ])?;
        assert_eq!((mesh.trust_domain.as_str(), mesh.trust_domain_aliases.len()), ("b", 2));
        assert_eq!(mesh.default_config.proxy_metadata.len(), 2);
        assert_eq!(mesh.default_config.concurrency, Some(2));
        assert!(mesh.enable_auto_mtls && mesh.enable_prometheus_merge);
        assert_eq!(mesh.extension_providers.len(), 3);
        Ok(())
    }

    #[test]
    fn wrong_fields_are_named() {
        let error = MeshConfig::from_layers([json!({ "defaultConfig": { "drainDuration": "soon" } })]);
        assert!(error.is_err_and(|error| error.to_string().contains("defaultConfig.drainDuration")));
    }
}
