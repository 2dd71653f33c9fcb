//! EnvoyFilters that make something which a proxy refuses. A proxy names the field and not who asked for it: that is who has the field, or
//! the type, in a patch that holds for the proxy.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::EnvoyFilter;
use serde_json::Value;

use crate::discovery::Discovery;

/// What proxies say of an EnvoyFilter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Generation of the object that they have.
    pub(super) generation: i64,
    /// Words of the first of them.
    pub(super) message: String,
    others: usize,
}

impl Refusal {
    /// For the object's status.
    pub(super) fn told(&self) -> String {
        let others = match self.others {
            0 => String::new(),
            1 => " (and one more proxy)".to_owned(),
            more => format!(" (and {more} more proxies)"),
        };
        format!("{}{others}; what a proxy refuses it does without, or keeps as it had it", self.message)
    }
}

/// Every EnvoyFilter that proxies refuse something of, by namespace and name.
pub(super) fn of_envoy_filters(discovery: &Discovery) -> BTreeMap<(String, String), Refusal> {
    let index = discovery.index.load();
    let mut found: BTreeMap<(String, String), Refusal> = BTreeMap::new();
    for connection in discovery.connections.all() {
        let Some(proxy) = connection.peer.proxy.as_ref().filter(|_| connection.peer.has_refused()) else {
            continue;
        };
        for (type_url, status) in connection.types() {
            let Some(words) = &status.watch.refused else { continue };
            for object in asked_for(index.envoy_filters_of(proxy, &type_url), words, &type_url) {
                let metadata = &object.metadata;
                let message = format!("{}.{}: {words}", proxy.name, proxy.namespace);
                found
                    .entry((metadata.namespace.clone(), metadata.name.clone()))
                    .and_modify(|known| known.others += 1)
                    .or_insert(Refusal { generation: metadata.generation, message, others: 0 });
            }
        }
    }
    found
}

/// Those that ask for what is refused: whose patch names the type that is refused, else those with the field.
fn asked_for(
    filters: Vec<Arc<Object<EnvoyFilter>>>,
    words: &str,
    type_url: &str,
) -> Vec<Arc<Object<EnvoyFilter>>> {
    let words = words.replace(type_url, "");
    let fields: Vec<String> = words.split_whitespace().filter_map(last_field).collect();
    let with = |what: &dyn Fn(&str, &Value) -> bool| -> Vec<_> {
        let patches = |object: &EnvoyFilter| {
            let patches =
                object.config_patches.iter().filter_map(|patch| patch.patch.as_ref()?.value.as_ref());
            patches.into_iter().any(|value| any_field(value, what))
        };
        filters.iter().filter(|object| patches(&object.spec)).cloned().collect()
    };
    let of_type = with(&|key, value| {
        let named = ["@type", "type_url", "typeUrl"].contains(&key).then(|| value.as_str()).flatten();
        let short = named.map(|url| url.rsplit('/').next().unwrap_or(url));
        short.is_some_and(|short| !short.is_empty() && words.contains(short))
    });
    if of_type.is_empty() { with(&|key, _| fields.contains(&snake_case(key))) } else { of_type }
}

/// `c` of `a[1].b.c:`; nothing of a word without a dot.
fn last_field(word: &str) -> Option<String> {
    let (_, last) = word.trim_end_matches(':').rsplit_once('.')?;
    let name = last.split('[').next().unwrap_or(last);
    (!name.is_empty()).then(|| snake_case(name))
}

/// Protobuf's JSON has fields in both spellings.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Whether a field at any depth is such.
fn any_field(value: &Value, is_it: &dyn Fn(&str, &Value) -> bool) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| is_it(key, value) || any_field(value, is_it))
        }
        Value::Array(items) => items.iter().any(|value| any_field(value, is_it)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use sagene_xds::type_url;

    use super::*;

    fn filter(name: &str, value: &str) -> Arc<Object<EnvoyFilter>> {
        let spec = format!(
            "configPatches: [{{applyTo: NETWORK_FILTER, patch: {{operation: MERGE, value: {value}}}}}]"
        );
        Arc::new(Object::new("shop", name, serde_yaml::from_str(&spec).expect("an EnvoyFilter")))
    }

    fn blamed(words: &str) -> Vec<String> {
        let manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
        let lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
        let filters = vec![
            filter(
                "case",
                &format!(
                    "{{typed_config: {{'@type': {manager}, httpProtocolOptions: {{headerKeyFormat: {{}}}}}}}}"
                ),
            ),
            filter("tea", &format!("{{typed_config: {{'@type': {manager}, server_name: tea}}}}")),
            filter("lua", &format!("{{name: lua, typed_config: {{'@type': {lua}}}}}")),
        ];
        let words = format!("{} \"virtualInbound\": {words}", type_url::LISTENER);
        let found = asked_for(filters, &words, type_url::LISTENER);
        found.iter().map(|object| object.metadata.name.clone()).collect()
    }

    #[test]
    fn who_asked_for_it_is_found_by_type_and_field() {
        let field = "filter_chains[1].filters[0].typed_config.http_protocol_options.header_key_format: is not supported";
        assert_eq!(blamed(field), ["case"]);
        let filter = "filter_chains[1].filters[0].typed_config.http_filters[3].typed_config: envoy.extensions.filters.http.lua.v3.Lua is not supported";
        assert_eq!(blamed(filter), ["lua"]);
        assert!(blamed("the certificate cannot be read").is_empty());
        assert!(blamed("filter_chains[0].transport_socket: is wrong").is_empty());
    }

    #[test]
    fn more_proxies_are_counted() {
        let told = |others| Refusal { generation: 1, message: "web.shop: no".into(), others }.told();
        assert!(told(0).starts_with("web.shop: no; what"), "{}", told(0));
        assert!(told(1).contains("no (and one more proxy);") && told(3).contains("(and 3 more proxies);"));
    }
}
