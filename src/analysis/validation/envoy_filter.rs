//! Rules of EnvoyFilter.

use sagene_api::Object;
use sagene_api::envoy::json::{JsonError, from_json};
use sagene_api::istio::networking::EnvoyFilter;
use sagene_api::istio::networking::envoy_filter::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, ListenerMatch, PatchOperation,
};

use super::common::{label_selector, regex_problem, target_references};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

/// Longest regular expression for versions of proxies, as istiod has it.
const LONGEST_VERSION: usize = 1024;

/// Names of the filter that speaks HTTP.
const HTTP_FILTERS: &[&str] =
    &["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

/// What filters were called once, and what they are called now.
const OUTDATED_NAMES: &[(&str, &str)] = &[
    ("envoy.buffer", "envoy.filters.http.buffer"),
    ("envoy.cors", "envoy.filters.http.cors"),
    ("envoy.csrf", "envoy.filters.http.csrf"),
    ("envoy.ext_authz", "envoy.filters.http.ext_authz"),
    ("envoy.fault", "envoy.filters.http.fault"),
    ("envoy.grpc_http1_bridge", "envoy.filters.http.grpc_http1_bridge"),
    ("envoy.grpc_json_transcoder", "envoy.filters.http.grpc_json_transcoder"),
    ("envoy.grpc_web", "envoy.filters.http.grpc_web"),
    ("envoy.health_check", "envoy.filters.http.health_check"),
    ("envoy.ip_tagging", "envoy.filters.http.ip_tagging"),
    ("envoy.lua", "envoy.filters.http.lua"),
    ("envoy.rate_limit", "envoy.filters.http.ratelimit"),
    ("envoy.router", "envoy.filters.http.router"),
    ("envoy.echo", "envoy.filters.network.echo"),
    ("envoy.http_connection_manager", "envoy.filters.network.http_connection_manager"),
    ("envoy.mongo_proxy", "envoy.filters.network.mongo_proxy"),
    ("envoy.ratelimit", "envoy.filters.network.ratelimit"),
    ("envoy.redis_proxy", "envoy.filters.network.redis_proxy"),
    ("envoy.tcp_proxy", "envoy.filters.network.tcp_proxy"),
    ("envoy.listener.http_inspector", "envoy.filters.listener.http_inspector"),
    ("envoy.listener.original_dst", "envoy.filters.listener.original_dst"),
    ("envoy.listener.original_src", "envoy.filters.listener.original_src"),
    ("envoy.listener.proxy_protocol", "envoy.filters.listener.proxy_protocol"),
    ("envoy.listener.tls_inspector", "envoy.filters.listener.tls_inspector"),
];

impl Validate for EnvoyFilter {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        report.require(
            spec.workload_selector.is_none() || spec.target_refs.is_empty(),
            &path,
            "only one of workloadSelector and targetRefs can be set",
        );
        label_selector(&mut report, &path, spec.workload_selector.as_ref());
        target_references(&mut report, &path, &spec.target_refs);
        for (index, of) in spec.config_patches.iter().enumerate() {
            patch(&mut report, &path.key("configPatches").index(index), of);
        }
        report.finish()
    }
}

fn patch(report: &mut Report, path: &FieldPath, of: &EnvoyConfigObjectPatch) {
    report.require(of.apply_to != ApplyTo::Invalid, &path.key("applyTo"), "envoy filter: missing applyTo");
    match &of.patch {
        None => report.error(&path.key("patch"), "envoy filter: missing patch"),
        Some(patch) => {
            let path = path.key("patch");
            report.require(
                patch.operation != PatchOperation::Invalid,
                &path.key("operation"),
                "envoy filter: missing patch operation",
            );
            report.require(
                patch.operation == PatchOperation::Remove || patch.value.is_some(),
                &path.key("value"),
                "envoy filter: missing patch value for non-remove operation",
            );
            if let (Some(message), Some(value)) = (of.apply_to.message(), &patch.value)
                && let Err(error) = from_json(message, value)
            {
                value_error(report, &path.key("value"), &error);
            }
        }
    }
    let Some(of_match) = &of.r#match else { return };
    let path = path.key("match");
    if let Some(version) = of_match.proxy.as_ref().map(|proxy| proxy.proxy_version.as_str())
        && let Some(reason) = regex_problem(version).or_else(|| too_long(version))
    {
        let path = path.key("proxy").key("proxyVersion");
        report.error(&path, format!("envoy filter: invalid regex for proxy version: {reason}"));
    }
    object_type(report, &path, of.apply_to, of_match);
    if let Some(listener) = &of_match.listener {
        listener_match(report, &path.key("listener"), of.apply_to, listener);
    }
}

/// The control plane runs the expression for every proxy: a long one is refused, as istiod does.
fn too_long(expression: &str) -> Option<String> {
    (expression.len() > LONGEST_VERSION)
        .then(|| format!("it has {} characters, more than {LONGEST_VERSION}", expression.len()))
}

/// A value that is not the message it stands for: the patch would have no effect.
fn value_error(report: &mut Report, path: &FieldPath, error: &JsonError) {
    match error {
        JsonError::Field { path: field, reason } => {
            let inside = FieldPath::parse(field);
            let is_top = field.contains(' ');
            report.error(&if is_top { path.clone() } else { inside.below(path) }, reason);
        }
        other => report.error(path, other.to_string()),
    }
}

/// A match on listeners for what is in listeners, and so on.
fn object_type(report: &mut Report, path: &FieldPath, apply_to: ApplyTo, of: &EnvoyConfigObjectMatch) {
    let wanted = match apply_to {
        ApplyTo::Listener
        | ApplyTo::FilterChain
        | ApplyTo::NetworkFilter
        | ApplyTo::HttpFilter
        | ApplyTo::ListenerFilter => "listener",
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => "routeConfiguration",
        ApplyTo::Cluster => "cluster",
        _ => return,
    };
    for (field, set) in [
        ("listener", of.listener.is_some()),
        ("routeConfiguration", of.route_configuration.is_some()),
        ("cluster", of.cluster.is_some()),
    ] {
        report.require(
            !set || field == wanted,
            &path.key(field),
            format_args!("envoy filter: applyTo {apply_to} cannot have a {field} match; use {wanted}"),
        );
    }
}

fn listener_match(report: &mut Report, path: &FieldPath, apply_to: ApplyTo, listener: &ListenerMatch) {
    let Some(filter) = listener.filter_chain.as_ref().and_then(|chain| chain.filter.as_ref()) else { return };
    let path = path.key("filterChain").key("filter");
    if matches!(apply_to, ApplyTo::Listener | ApplyTo::FilterChain) {
        report.warning(&path, format!("envoy filter: filter match has no effect when used with {apply_to}"));
    }
    report.require(
        !filter.name.is_empty(),
        &path.key("name"),
        "envoy filter: filter match has no name to match on",
    );
    outdated_name(report, &path.key("name"), &filter.name);
    let Some(inner) = &filter.sub_filter else { return };
    let path = path.key("subFilter");
    report.require(
        apply_to == ApplyTo::HttpFilter,
        &path,
        "envoy filter: subfilter match requires applyTo HTTP_FILTER",
    );
    report.require(
        HTTP_FILTERS.contains(&filter.name.as_str()),
        &path,
        "envoy filter: subfilter match requires filter match with envoy.filters.network.http_connection_manager",
    );
    report.require(
        !inner.name.is_empty(),
        &path.key("name"),
        "envoy filter: subfilter match has no name to match on",
    );
    outdated_name(report, &path.key("name"), &inner.name);
}

/// Names that filters had once: patches of both names apply, other tools know the new ones.
fn outdated_name(report: &mut Report, path: &FieldPath, name: &str) {
    if let Some((_, new)) = OUTDATED_NAMES.iter().find(|(old, _)| *old == name) {
        report.warning(path, format!("using deprecated filter name {name:?}; use {new:?} instead"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::broken;
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        broken::<EnvoyFilter>(spec)
            .into_iter()
            .map(|text| text.replace("spec.configPatches[0].", ""))
            .collect()
    }

    #[test]
    fn every_rule_names_its_field() {
        const PATCH: &str = "patch: {operation: MERGE, value: {name: b}}";
        for (bad, path) in [
            (PATCH.to_owned(), "applyTo"),
            ("applyTo: CLUSTER".to_owned(), "patch"),
            ("applyTo: CLUSTER, patch: {value: {name: b}}".to_owned(), "patch.operation"),
            ("applyTo: CLUSTER, patch: {operation: ADD}".to_owned(), "patch.value"),
            (format!("applyTo: CLUSTER, match: {{listener: {{portNumber: 1}}}}, {PATCH}"), "match.listener"),
            (
                format!("applyTo: HTTP_FILTER, match: {{cluster: {{portNumber: 1}}}}, {PATCH}"),
                "match.cluster",
            ),
            (
                format!("applyTo: HTTP_ROUTE, match: {{listener: {{portNumber: 1}}}}, {PATCH}"),
                "match.listener",
            ),
            (
                format!("applyTo: CLUSTER, match: {{proxy: {{proxyVersion: '('}}}}, {PATCH}"),
                "match.proxy.proxyVersion",
            ),
            (
                format!("applyTo: CLUSTER, match: {{proxy: {{proxyVersion: {}}}}}, {PATCH}", "a".repeat(1025)),
                "match.proxy.proxyVersion",
            ),
            (
                format!(
                    "applyTo: LISTENER, match: {{listener: {{filterChain: {{filter: {{name: a}}}}}}}}, {PATCH}"
                ),
                "warning match.listener.filterChain.filter",
            ),
            (
                "applyTo: CLUSTER, patch: {operation: MERGE, value: {circuit_breakers: {thresholds: [{max_conections: 1}]}}}".to_owned(),
                "patch.value.circuit_breakers.thresholds[0].max_conections",
            ),
            ("applyTo: CLUSTER, patch: {operation: MERGE, value: [a]}".to_owned(), "patch.value"),
            (
                format!(
                    "applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{filter: {{name: envoy.filters.network.http_connection_manager, subFilter: {{name: envoy.router}}}}}}}}}}, {PATCH}"
                ),
                "warning match.listener.filterChain.filter.subFilter.name",
            ),
            (
                format!(
                    "applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{filter: {{subFilter: {{name: a}}}}}}}}}}, {PATCH}"
                ),
                "match.listener.filterChain.filter.name",
            ),
            (
                format!(
                    "applyTo: HTTP_FILTER, match: {{listener: {{filterChain: {{filter: {{name: a, subFilter: {{name: a}}}}}}}}}}, {PATCH}"
                ),
                "match.listener.filterChain.filter.subFilter",
            ),
        ] {
            let found = problems(&format!("configPatches: [{{{bad}}}]"));
            assert!(found.contains(&path.to_owned()), "{bad} → {found:?}");
        }
        assert_eq!(problems("{workloadSelector: {}}"), ["warning spec.workloadSelector"]);
        assert!(problems("{}").is_empty());
        for good in [
            format!(
                "applyTo: HTTP_FILTER, match: {{context: GATEWAY, listener: {{filterChain: {{filter: {{name: envoy.filters.network.http_connection_manager, subFilter: {{name: a}}}}}}}}}}, {PATCH}"
            ),
            "applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {a: b}}".to_owned(),
            "applyTo: CLUSTER, match: {cluster: {service: a}}, patch: {operation: REMOVE}".to_owned(),
        ] {
            assert!(problems(&format!("configPatches: [{{{good}}}]")).is_empty(), "{good}");
        }
    }
}
