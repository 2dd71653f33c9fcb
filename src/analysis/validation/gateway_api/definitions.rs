//! The kinds of the Gateway API, and the versions that one finds in use.

use std::sync::{LazyLock, OnceLock};

use serde_json::Value;

use super::schema::Schema;
use super::{gateway, policies, routes, streams};
use crate::validation::shape::{self, Node};

/// The group of the kinds.
pub(super) const GROUP: &str = "gateway.networking.k8s.io";
/// That of kinds that are tried out.
const EXPERIMENTAL_GROUP: &str = "gateway.networking.x-k8s.io";

/// What is known of a kind.
pub(super) struct Definition {
    pub(super) kind: &'static str,
    pub(super) group: &'static str,
    /// The first is the one to use.
    pub(super) versions: &'static [&'static str],
    /// Makes the schema of `spec`; the version is `v1`, or one before it.
    spec: fn(bool) -> Schema,
    stable: OnceLock<Shape>,
    earlier: OnceLock<Shape>,
}

/// The schema of `spec`: with its defaults, and quick to walk.
pub(super) struct Shape {
    pub(super) schema: Value,
    pub(super) node: Node,
}

impl Definition {
    /// The shape of a version.
    pub(super) fn shape(&self, version: &str) -> &Shape {
        let is_stable = version == "v1";
        let shape = if is_stable { &self.stable } else { &self.earlier };
        shape.get_or_init(|| {
            let schema = (self.spec)(is_stable).into_value();
            Shape { node: shape::node(&schema), schema }
        })
    }
}

const V1: &[&str] = &["v1", "v1beta1"];
const STREAMS: &[&str] = &["v1", "v1alpha3", "v1alpha2"];

static KINDS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let all: [(&str, &str, &[&str], fn(bool) -> Schema); 11] = [
        (GROUP, "BackendTLSPolicy", STREAMS, |_| policies::backend_tls()),
        (GROUP, "GRPCRoute", &["v1", "v1alpha2"], |_| routes::grpc()),
        (GROUP, "Gateway", V1, |_| gateway::gateway()),
        (GROUP, "GatewayClass", V1, |_| gateway::gateway_class()),
        (GROUP, "HTTPRoute", V1, |_| routes::http()),
        (GROUP, "ListenerSet", &["v1"], |_| gateway::listener_set()),
        (GROUP, "ReferenceGrant", &["v1", "v1beta1", "v1alpha2"], |_| policies::reference_grant()),
        (GROUP, "TCPRoute", STREAMS, streams::plain),
        (GROUP, "TLSRoute", STREAMS, streams::tls),
        (GROUP, "UDPRoute", STREAMS, streams::plain),
        (EXPERIMENTAL_GROUP, "XListenerSet", &["v1alpha1"], |_| gateway::experimental_listener_set()),
    ];
    all.into_iter()
        .map(|(group, kind, versions, spec)| {
            let (stable, earlier) = (OnceLock::new(), OnceLock::new());
            Definition { kind, group, versions, spec, stable, earlier }
        })
        .collect()
});

/// What is known of a kind of a group.
pub(super) fn of(group: &str, kind: &str) -> Option<&'static Definition> {
    KINDS.iter().find(|definition| definition.group == group && definition.kind == kind)
}

/// The kinds of a group; none for groups of others.
pub(super) fn kinds(group: &str) -> impl Iterator<Item = &'static str> + '_ {
    KINDS.iter().filter(move |definition| definition.group == group).map(|definition| definition.kind)
}

#[cfg(test)]
mod tests {
    use sagene_cel::Program;

    use super::*;

    #[test]
    fn every_rule_and_pattern_compiles() {
        fn walk(schema: &Value, count: &mut usize) {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let text = rule["rule"].as_str().expect("a rule");
                assert!(Program::compile(text, &["self", "oldSelf"]).is_ok(), "{text}");
                *count += 1;
            }
            if let Some(pattern) = schema["pattern"].as_str() {
                assert!(regex::Regex::new(pattern).is_ok(), "{pattern}");
            }
            match schema {
                Value::Object(fields) => fields.values().for_each(|inner| walk(inner, count)),
                Value::Array(items) => items.iter().for_each(|inner| walk(inner, count)),
                _ => {}
            }
        }
        let mut count = 0;
        for definition in KINDS.iter() {
            definition
                .versions
                .iter()
                .for_each(|version| walk(&definition.shape(version).schema, &mut count));
        }
        assert!(count > 100, "{count}");
    }
}
