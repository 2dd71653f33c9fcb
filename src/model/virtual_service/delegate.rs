//! Delegation: a root's route names another VirtualService whose routes take its place.
//!
//! Each of the delegate's routes matches what both it and the root's route match; what the root's route sets beside its match (timeout,
//! retries, headers, …) wins over the delegate's. A delegate may not delegate further.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::virtual_service::{HttpMatchRequest, HttpRoute};
use sagene_api::istio::types::StringMatch;

use crate::snapshot::Snapshot;

/// The routes of a root with delegates merged in, each with the namespace its names are short for. A delegate that does not exist
/// leaves no route.
pub(super) fn merged(root: &Arc<Object<VirtualService>>, snapshot: &Snapshot) -> Vec<(String, HttpRoute)> {
    let own = &root.metadata.namespace;
    let mut routes = Vec::with_capacity(root.spec.http.len());
    for route in &root.spec.http {
        let Some(delegate) = &route.delegate else {
            routes.push((own.clone(), route.clone()));
            continue;
        };
        let namespace = if delegate.namespace.is_empty() { own } else { &delegate.namespace };
        let Some(target) = snapshot
            .get::<VirtualService>(namespace, &delegate.name)
            .filter(|target| target.spec.hosts.is_empty())
        else {
            continue;
        };
        let inner = target.spec.http.iter().filter(|inner| inner.delegate.is_none());
        routes.extend(inner.filter_map(|inner| Some((namespace.clone(), combine(route, inner)?))));
    }
    routes
}

/// `None` where no request can match both.
fn combine(root: &HttpRoute, inner: &HttpRoute) -> Option<HttpRoute> {
    let mut route = inner.clone();
    route.r#match = match (root.r#match.is_empty(), inner.r#match.is_empty()) {
        (true, _) => inner.r#match.clone(),
        (false, true) => root.r#match.clone(),
        (false, false) => {
            let pairs = root
                .r#match
                .iter()
                .flat_map(|outer| inner.r#match.iter().filter_map(move |own| both(outer, own)));
            let matches: Vec<_> = pairs.collect();
            if matches.is_empty() {
                return None;
            }
            matches
        }
    };
    if !root.name.is_empty() {
        route.name =
            if inner.name.is_empty() { root.name.clone() } else { format!("{}-{}", root.name, inner.name) };
    }
    fn prefer<T: Clone>(own: &mut Option<T>, outer: &Option<T>) {
        if outer.is_some() {
            own.clone_from(outer);
        }
    }
    prefer(&mut route.timeout, &root.timeout);
    prefer(&mut route.retries, &root.retries);
    prefer(&mut route.fault, &root.fault);
    prefer(&mut route.cors_policy, &root.cors_policy);
    prefer(&mut route.headers, &root.headers);
    prefer(&mut route.rewrite, &root.rewrite);
    prefer(&mut route.mirror, &root.mirror);
    prefer(&mut route.mirror_percentage, &root.mirror_percentage);
    if !root.mirrors.is_empty() {
        route.mirrors.clone_from(&root.mirrors);
    }
    Some(route)
}

/// A condition that holds where both do; `None` where they contradict each other.
fn both(outer: &HttpMatchRequest, own: &HttpMatchRequest) -> Option<HttpMatchRequest> {
    let mut condition = own.clone();
    condition.uri = narrower(&outer.uri, &own.uri)?;
    condition.scheme = narrower(&outer.scheme, &own.scheme)?;
    condition.method = narrower(&outer.method, &own.method)?;
    condition.authority = narrower(&outer.authority, &own.authority)?;
    for (maps_outer, maps_own) in [
        (&outer.headers, &mut condition.headers),
        (&outer.without_headers, &mut condition.without_headers),
        (&outer.query_params, &mut condition.query_params),
    ] {
        for (name, wanted) in maps_outer {
            let merged = narrower(&Some(wanted.clone()), &maps_own.get(name).cloned())?;
            maps_own.extend(merged.map(|merged| (name.clone(), merged)));
        }
    }
    for (key, value) in &outer.source_labels {
        if condition.source_labels.insert(key.clone(), value.clone()).is_some_and(|known| known != *value) {
            return None;
        }
    }
    if condition.port == 0 {
        condition.port = outer.port;
    } else if outer.port != 0 && outer.port != condition.port {
        return None;
    }
    if condition.gateways.is_empty() {
        condition.gateways.clone_from(&outer.gateways);
    }
    if condition.source_namespace.is_empty() {
        condition.source_namespace.clone_from(&outer.source_namespace);
    }
    condition.ignore_uri_case |= outer.ignore_uri_case;
    Some(condition)
}

/// The stricter of two matches of one text, outer `None` where they cannot both hold.
#[allow(clippy::option_option, reason = "the outer says whether they agree, the inner is the field itself")]
fn narrower(outer: &Option<StringMatch>, own: &Option<StringMatch>) -> Option<Option<StringMatch>> {
    let (Some(outer), Some(own)) = (outer, own) else { return Some(own.clone().or_else(|| outer.clone())) };
    match (outer, own) {
        _ if outer == own => Some(Some(own.clone())),
        (StringMatch::Empty, any) | (any, StringMatch::Empty) => Some(Some(any.clone())),
        (StringMatch::Prefix(prefix), StringMatch::Exact(text) | StringMatch::Prefix(text))
            if text.starts_with(prefix) =>
        {
            Some(Some(own.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sagene_api::istio::networking::virtual_service::Delegate;

    fn at(prefix: &str) -> HttpMatchRequest {
        HttpMatchRequest { uri: Some(StringMatch::Prefix(prefix.to_owned())), ..HttpMatchRequest::default() }
    }

    fn routes(root_prefix: &str, inner: &[&str]) -> Vec<String> {
        let mut snapshot = Snapshot::default();
        let inner = inner
            .iter()
            .map(|prefix| HttpRoute { r#match: vec![at(prefix)], ..HttpRoute::default() })
            .collect();
        snapshot.insert(Arc::new(Object::new(
            "team",
            "inner",
            VirtualService { http: inner, ..VirtualService::default() },
        )));
        let delegate = Some(Box::new(Delegate { name: "inner".to_owned(), namespace: "team".to_owned() }));
        let route = HttpRoute { r#match: vec![at(root_prefix)], delegate, ..HttpRoute::default() };
        let root =
            VirtualService { hosts: vec!["a".to_owned()], http: vec![route], ..VirtualService::default() };
        let merged = merged(&Arc::new(Object::new("edge", "root", root)), &snapshot);
        merged.iter().map(|(namespace, route)| format!("{namespace} {:?}", route.r#match[0].uri)).collect()
    }

    #[test]
    fn only_routes_within_the_roots_match_remain() {
        assert_eq!(routes("/a", &["/a/b", "/c"]), ["team Some(Prefix(\"/a/b\"))"]);
        assert!(routes("/x", &["/a"]).is_empty());
    }
}
