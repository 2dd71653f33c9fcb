//! Filters that an EnvoyFilter adds and that the proxies do not have: a proxy that is given one refuses the whole listener.

use sagene_api::istio::networking::EnvoyFilter;
use sagene_api::istio::networking::envoy_filter::{ApplyTo, EnvoyConfigObjectPatch, PatchOperation};
use serde_json::Value;

use crate::attribute_gen::MODULE;

/// Messages of the HTTP filters that the proxies have.
pub const HTTP_FILTERS: [&str; 16] = [
    "envoy.extensions.filters.http.buffer.v3.Buffer",
    "envoy.extensions.filters.http.compressor.v3.Compressor",
    "envoy.extensions.filters.http.cors.v3.Cors",
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
    "envoy.extensions.filters.http.fault.v3.HTTPFault",
    "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
    "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
    "envoy.extensions.filters.http.rbac.v3.RBAC",
    "envoy.extensions.filters.http.router.v3.Router",
    "io.istio.http.peer_metadata.Config",
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    "stats.PluginConfig",
];

/// The message of the filter that runs WebAssembly.
const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// Messages of the network filters that the proxies have.
pub const NETWORK_FILTERS: [&str; 7] = [
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
    "envoy.extensions.filters.network.rbac.v3.RBAC",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "envoy.tcp.metadataexchange.config.MetadataExchange",
    "stats.PluginConfig",
];

/// Field and reason of every patch that adds such a filter.
pub(super) fn parts(filter: &EnvoyFilter) -> Vec<(String, String)> {
    let unknown = filter.config_patches.iter().enumerate().filter_map(|(index, declared)| {
        let message = unknown_filter(declared)?;
        let field = format!("spec.configPatches[{index}].patch.value");
        Some((field, format!("proxies have no filter {message}, and refuse a listener that it is put into")))
    });
    unknown.collect()
}

fn unknown_filter(declared: &EnvoyConfigObjectPatch) -> Option<String> {
    let known: &[&str] = match declared.apply_to {
        ApplyTo::HttpFilter => &HTTP_FILTERS,
        ApplyTo::NetworkFilter => &NETWORK_FILTERS,
        _ => return None,
    };
    let patch = declared.patch.as_ref()?;
    if matches!(patch.operation, PatchOperation::Merge | PatchOperation::Remove) {
        return None;
    }
    let value = patch.value.as_ref()?;
    let either = |object: &Value, one: &str, other: &str| {
        object.get(one).or_else(|| object.get(other)).filter(|found| !found.is_null()).cloned()
    };
    // A proxy leaves out what it may.
    if either(value, "is_optional", "isOptional") == Some(Value::Bool(true)) {
        return None;
    }
    let config = either(value, "typed_config", "typedConfig")?;
    let message = |url: Value| url.as_str().and_then(|url| url.rsplit('/').next()).map(str::to_owned);
    let mut named = config.get("@type").cloned().and_then(message)?;
    if named.ends_with(".TypedStruct") {
        named = either(&config, "type_url", "typeUrl").and_then(message)?;
    }
    let known = known.contains(&named.as_str()) || named == WASM && is_built_in(&config);
    (!known).then_some(named)
}

/// Whether the filter that runs WebAssembly is given a module that proxies have.
fn is_built_in(config: &Value) -> bool {
    let config = config.get("value").unwrap_or(config);
    let vm = |config: &Value| config.get("vm_config").or_else(|| config.get("vmConfig")).cloned();
    let code = config.get("config").and_then(vm);
    let local = code.as_ref().and_then(|vm| vm.pointer("/code/local"));
    let inline = local.and_then(|local| local.get("inline_string").or_else(|| local.get("inlineString")));
    inline.and_then(Value::as_str) == Some(MODULE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_that_no_proxy_has_are_named() {
        let adding = |apply_to: &str, operation: &str, config: &Value| {
            let patch = json!({"operation": operation, "value": {"typed_config": config}});
            let filter = json!({"configPatches": [{"applyTo": apply_to, "patch": patch}]});
            parts(&serde_json::from_value(filter).expect("an EnvoyFilter"))
        };
        let lua = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"});
        let [(field, reason)] = adding("HTTP_FILTER", "INSERT_BEFORE", &lua).try_into().expect("one");
        assert_eq!(field, "spec.configPatches[0].patch.value");
        assert!(reason.contains("envoy.extensions.filters.http.lua.v3.Lua"), "{reason}");
        let limit = json!({"@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"});
        assert!(adding("HTTP_FILTER", "INSERT_BEFORE", &limit).is_empty());
        let wasm = |code: &str| {
            json!({"@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
                "type_url": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "value": {"config": {"vm_config": {"code": {"local": {"inline_string": code}}}}}})
        };
        assert!(adding("HTTP_FILTER", "INSERT_BEFORE", &wasm("envoy.wasm.attributegen")).is_empty());
        assert_eq!(adding("HTTP_FILTER", "INSERT_BEFORE", &wasm("envoy.wasm.other")).len(), 1);
        assert_eq!(adding("NETWORK_FILTER", "INSERT_FIRST", &limit).len(), 1, "no network filter");
        assert!(adding("HTTP_FILTER", "MERGE", &lua).is_empty());
    }
}
