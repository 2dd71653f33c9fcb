//! Rules of EnvoyFilter.

use sagene_api::Object;
use sagene_api::istio::networking::EnvoyFilter;
use sagene_api::istio::networking::envoy_filter::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, ListenerMatch, PatchOperation,
};

use super::common::{label_selector, regex_problem, target_references};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

/// Names of the filter that speaks HTTP.
const HTTP_FILTERS: &[&str] =
    &["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

impl Validate for EnvoyFilter {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        if spec.config_patches.is_empty() {
            report.warning(&path, "envoy filter: no configPatches; it has no effect");
        }
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
        }
    }
    let Some(of_match) = &of.r#match else { return };
    let path = path.key("match");
    if let Some(version) = of_match.proxy.as_ref().map(|proxy| proxy.proxy_version.as_str())
        && let Some(reason) = regex_problem(version)
    {
        let path = path.key("proxy").key("proxyVersion");
        report.error(&path, format!("envoy filter: invalid regex for proxy version: {reason}"));
    }
    object_type(report, &path, of.apply_to, of_match);
    if let Some(listener) = &of_match.listener {
        listener_match(report, &path.key("listener"), of.apply_to, listener);
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
            &format!("envoy filter: applyTo {apply_to} cannot have a {field} match; use {wanted}"),
        );
    }
}

fn listener_match(report: &mut Report, path: &FieldPath, apply_to: ApplyTo, listener: &ListenerMatch) {
    let Some(filter) = listener.filter_chain.as_ref().and_then(|chain| chain.filter.as_ref()) else { return };
    let path = path.key("filterChain").key("filter");
    report.require(
        !matches!(apply_to, ApplyTo::Listener | ApplyTo::FilterChain),
        &path,
        "envoy filter: filter match only applies to NETWORK_FILTER and HTTP_FILTER",
    );
    report.require(
        !filter.name.is_empty(),
        &path.key("name"),
        "envoy filter: filter match has no name to match on",
    );
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(spec: &str) -> Vec<String> {
        let spec: EnvoyFilter = serde_yaml::from_str(spec).expect("a spec");
        EnvoyFilter::problems(&Object::new("n", "e", spec)).iter().map(|it| it.path.to_string()).collect()
    }

    #[test]
    fn every_rule_names_its_field() {
        const PATCH: &str = "patch: {operation: MERGE, value: {a: b}}";
        for (bad, path) in [
            (PATCH.to_owned(), "applyTo"),
            ("applyTo: CLUSTER".to_owned(), "patch"),
            ("applyTo: CLUSTER, patch: {value: {a: b}}".to_owned(), "patch.operation"),
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
                format!(
                    "applyTo: LISTENER, match: {{listener: {{filterChain: {{filter: {{name: a}}}}}}}}, {PATCH}"
                ),
                "match.listener.filterChain.filter",
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
            assert!(found.contains(&format!("spec.configPatches[0].{path}")), "{bad} → {found:?}");
        }
        assert_eq!(problems("{}"), ["spec"]);
        for good in [
            format!(
                "applyTo: HTTP_FILTER, match: {{context: GATEWAY, listener: {{filterChain: {{filter: {{name: envoy.filters.network.http_connection_manager, subFilter: {{name: a}}}}}}}}}}, {PATCH}"
            ),
            format!("applyTo: BOOTSTRAP, {PATCH}"),
            "applyTo: CLUSTER, match: {cluster: {service: a}}, patch: {operation: REMOVE}".to_owned(),
        ] {
            assert!(problems(&format!("configPatches: [{{{good}}}]")).is_empty(), "{good}");
        }
    }
}
