//! What a request does.

use sagene_api::istio::security::authorization_policy::Operation;

use super::super::proto::matcher::{PathMatcher, StringMatcher, path_matcher};
use super::super::proto::{any, core, rbac, route};
use super::matching::{any_case, generic};
use super::rule::Context;
use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3::UriTemplateMatchConfig;
use rbac::Permission;
use rbac::permission::{Rule, Set};

/// A permission of this kind.
pub(super) fn permission(rule: Rule) -> Permission {
    Permission { rule: Some(rule) }
}

/// Anything.
pub(super) fn anything() -> Permission {
    permission(Rule::Any(true))
}

/// All of these.
pub(super) fn all(mut rules: Vec<Permission>) -> Permission {
    match rules.len() {
        0 => anything(),
        1 => rules.remove(0),
        _ => permission(Rule::AndRules(Set { rules })),
    }
}

fn any_of(rules: Vec<Permission>) -> Permission {
    permission(Rule::OrRules(Set { rules }))
}

/// Adds one field: any of its values, none of its counterpart's.
pub(super) fn pair(
    made: &mut Vec<Permission>,
    values: &[String],
    not_values: &[String],
    of: &dyn Fn(&str) -> Option<Permission>,
) {
    if !values.is_empty() {
        made.push(any_of(values.iter().filter_map(|value| of(value)).collect()));
    }
    if !not_values.is_empty() {
        let none = any_of(not_values.iter().filter_map(|value| of(value)).collect());
        made.push(permission(Rule::NotRule(Box::new(none))));
    }
}

/// The conditions of an operation, all of which must hold. `None` where one reads requests and there are only connections.
pub(super) fn conditions(operation: &Operation, context: Context<'_>) -> Option<Vec<Permission>> {
    let mut made = Vec::new();
    pair(&mut made, &operation.ports, &operation.not_ports, &port);
    let lists = [
        &operation.hosts,
        &operation.not_hosts,
        &operation.methods,
        &operation.not_methods,
        &operation.paths,
        &operation.not_paths,
    ];
    if context.tcp && lists.iter().any(|list| !list.is_empty()) {
        return context.denies.then_some(made);
    }
    pair(&mut made, &operation.hosts, &operation.not_hosts, &|value| {
        let wanted = any_case(generic(value, ""));
        Some(header(":authority", wanted))
    });
    pair(&mut made, &operation.methods, &operation.not_methods, &|value| {
        Some(header(":method", generic(value, "")))
    });
    pair(&mut made, &operation.paths, &operation.not_paths, &|value| Some(path(value)));
    Some(made)
}

/// A destination port by number.
pub(super) fn port(value: &str) -> Option<Permission> {
    value.parse::<u16>().ok().map(|port| permission(Rule::DestinationPort(u32::from(port))))
}

fn header(name: &str, wanted: StringMatcher) -> Permission {
    permission(Rule::Header(route::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::StringMatch(wanted)),
        ..route::HeaderMatcher::default()
    }))
}

fn path(value: &str) -> Permission {
    if value.contains("{*}") || value.contains("{**}") {
        // Envoy writes the placeholders without braces.
        let template = value.replace("{**}", "**").replace("{*}", "*");
        return permission(Rule::UriTemplate(core::TypedExtensionConfig {
            name: "uri-template".to_owned(),
            typed_config: Some(any(&UriTemplateMatchConfig { path_template: template })),
        }));
    }
    let rule = path_matcher::Rule::Path(generic(value, ""));
    permission(Rule::UrlPath(PathMatcher { rule: Some(rule) }))
}
