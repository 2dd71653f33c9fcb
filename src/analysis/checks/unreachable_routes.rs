//! IST0130, IST0131: routes after one that takes every request, and matches that an earlier route has already.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::virtual_service::{HttpMatchRequest, HttpRoute};
use sagene_api::istio::types::StringMatch;

use super::Check;
use crate::code::Code;
use crate::input::{Input, at, reference};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "schema.ValidationAnalyzer.VirtualService.Routes",
    description: "HTTP routes and matches that no request reaches",
    codes: &[Code::VirtualServiceUnreachableRule, Code::VirtualServiceIneffectiveMatch],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    input.snapshot.virtual_services.iter().flat_map(of_service).collect()
}

fn of_service(service: &Arc<Object<VirtualService>>) -> Vec<Message> {
    let routes = &service.spec.http;
    let mut messages = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        let earlier = &routes[..index];
        let path = at("spec.http").index(index);
        if earlier.iter().any(takes_everything) {
            let text = format!(
                "VirtualService rule {} not used (only the last rule can have no matches).",
                name(route, index)
            );
            messages
                .push(Message::new(Code::VirtualServiceUnreachableRule, reference(service), text).at(path));
            continue;
        }
        let covered: Vec<(usize, usize)> = route
            .r#match
            .iter()
            .enumerate()
            .filter_map(|(at, condition)| Some((at, covering(earlier, condition)?)))
            .collect();
        if !route.r#match.is_empty() && covered.len() == route.r#match.len() {
            let text = format!(
                "VirtualService rule {} not used (all matches used by prior rules).",
                name(route, index)
            );
            messages
                .push(Message::new(Code::VirtualServiceUnreachableRule, reference(service), text).at(path));
            continue;
        }
        for (position, by) in covered {
            let condition = &route.r#match[position];
            let which = if condition.name.is_empty() {
                format!("#{position}")
            } else {
                format!("{:?}", condition.name)
            };
            let text = format!(
                "VirtualService rule {} match {which} is not used (duplicate/overlapping match in rule {}).",
                name(route, index),
                name(&routes[by], by)
            );
            let path = path.key("match").index(position);
            messages
                .push(Message::new(Code::VirtualServiceIneffectiveMatch, reference(service), text).at(path));
        }
    }
    messages
}

fn name(route: &HttpRoute, index: usize) -> String {
    if route.name.is_empty() { format!("#{index}") } else { format!("{:?}", route.name) }
}

/// Every request, of whatever client, takes this route.
fn takes_everything(route: &HttpRoute) -> bool {
    route.r#match.is_empty()
        || route.r#match.iter().any(|condition| covers(condition, &HttpMatchRequest::default()))
}

/// The earlier route that takes all requests of `condition`.
fn covering(earlier: &[HttpRoute], condition: &HttpMatchRequest) -> Option<usize> {
    earlier.iter().position(|route| route.r#match.iter().any(|candidate| covers(candidate, condition)))
}

/// True where every request that `narrow` matches is matched by `wide` too. Only certain cases count: a doubt is a no.
fn covers(wide: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
    let same_view = wide.ignore_uri_case == narrow.ignore_uri_case || wide.uri.is_none();
    same_view
        && text_covers(wide.uri.as_ref(), narrow.uri.as_ref(), Some("/"))
        && text_covers(wide.scheme.as_ref(), narrow.scheme.as_ref(), None)
        && text_covers(wide.method.as_ref(), narrow.method.as_ref(), None)
        && text_covers(wide.authority.as_ref(), narrow.authority.as_ref(), None)
        && wide.headers.iter().all(|(name, wanted)| narrow.headers.get(name) == Some(wanted))
        && wide.without_headers.iter().all(|(name, wanted)| narrow.without_headers.get(name) == Some(wanted))
        && wide.query_params.iter().all(|(name, wanted)| narrow.query_params.get(name) == Some(wanted))
        && (wide.port == 0 || wide.port == narrow.port)
        && wide.source_labels.iter().all(|(key, value)| narrow.source_labels.get(key) == Some(value))
        && (wide.source_namespace.is_empty() || wide.source_namespace == narrow.source_namespace)
        && (wide.gateways.is_empty()
            || (!narrow.gateways.is_empty()
                && narrow.gateways.iter().all(|gateway| wide.gateways.contains(gateway))))
}

/// `everything` is a prefix that any text has.
fn text_covers(wide: Option<&StringMatch>, narrow: Option<&StringMatch>, everything: Option<&str>) -> bool {
    match (wide, narrow) {
        (None | Some(StringMatch::Empty), _) => true,
        (Some(StringMatch::Prefix(prefix)), _)
            if prefix.is_empty() || Some(prefix.as_str()) == everything =>
        {
            true
        }
        (Some(StringMatch::Regex(regex)), _) if regex == ".*" => true,
        (Some(wide), Some(narrow)) if wide == narrow => true,
        (Some(StringMatch::Prefix(prefix)), Some(StringMatch::Exact(text) | StringMatch::Prefix(text))) => {
            text.starts_with(prefix.as_str())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn found(routes: &str) -> Vec<String> {
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n";
        findings(&CHECK, &format!("{head}{routes}"))
    }

    #[test]
    fn what_comes_after_everything() {
        assert_eq!(
            found("  - route: []\n  - match: [{uri: {prefix: /x}}]\n"),
            ["IST0130 VirtualService default/v@8"]
        );
        assert_eq!(
            found("  - match: [{uri: {prefix: /}}]\n  - route: []\n"),
            ["IST0130 VirtualService default/v@8"]
        );
        assert!(found("  - match: [{uri: {prefix: /x}}]\n  - route: []\n").is_empty());
    }

    #[test]
    fn matches_that_an_earlier_route_has() {
        assert_eq!(
            found(
                "  - match: [{uri: {prefix: /x}}]\n  - match: [{uri: {exact: /x/y}}, {uri: {prefix: /z}}]\n"
            ),
            ["IST0131 VirtualService default/v@8"]
        );
        assert_eq!(
            found("  - match: [{uri: {prefix: /x}}]\n  - match: [{uri: {prefix: /x}}]\n"),
            ["IST0130 VirtualService default/v@8"]
        );
        for near in [
            "  - match: [{uri: {prefix: /x}, headers: {a: {exact: b}}}]\n  - match: [{uri: {prefix: /x}}]\n",
            "  - match: [{uri: {exact: /x}}]\n  - match: [{uri: {prefix: /x}}]\n",
            "  - match: [{uri: {prefix: /x}, gateways: [g]}]\n  - match: [{uri: {prefix: /x}}]\n",
            "  - match: [{uri: {prefix: /x}, port: 80}]\n  - match: [{uri: {prefix: /x}, port: 90}]\n",
        ] {
            assert!(found(near).is_empty(), "{near}");
        }
    }
}
