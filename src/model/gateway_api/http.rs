//! HTTPRoutes and GRPCRoutes: their rules, in the order the Gateway API demands, by listener and host.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::SortedMap;
use sagene_api::gateway_api::http_route::{HttpRouteMatch, RouteBackend, RouteFilter, ValueMatch};
use sagene_api::gateway_api::reference::ParentReference;
use sagene_api::gateway_api::routes::GrpcRouteMatch;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::virtual_service::{
    HttpDirectResponse, HttpMatchRequest, HttpRetry, HttpRoute as Declared, HttpRouteDestination,
};
use sagene_api::istio::types::StringMatch;
use sagene_api::{Duration, Object, Resource};

use super::attach::Attaching;
use super::backend::{BackendProblem, UNSUPPORTED, destination};
use super::listener::{ListenerKey, OpenListener};
use super::mesh_parent::{self, MeshParent};
use super::status::{ParentStatus, of_route};
use super::{Converted, GATEWAY_SEMANTICS, PARENTS, ROUTE_SEMANTICS, derived, filter};
use crate::hostname::Hostname;
use crate::mesh::Mesh;
use crate::snapshot::{Collected, Snapshot};
use crate::virtual_service::MESH_GATEWAY;

/// A rule, whichever kind of route it is of.
struct Rule {
    /// Empty for none of its own.
    name: String,
    matches: Vec<HttpMatchRequest>,
    filters: Vec<RouteFilter>,
    backends: Vec<RouteBackend>,
    timeout: Option<Duration>,
    retries: Option<HttpRetry>,
}

/// One condition of one rule, with its place among all of a host.
#[derive(Clone)]
struct Ranked {
    rank: Rank,
    route: Declared,
}

/// Exact paths go first, then longer prefixes, a method, more headers, more parameters, then the older object.
type Rank = (
    Reverse<u8>,
    Reverse<usize>,
    Reverse<bool>,
    Reverse<usize>,
    Reverse<usize>,
    Option<jiff::Timestamp>,
    String,
    usize,
);

/// Routes by what they are bound to: a listener's Gateway in its namespace, or the mesh.
type Gathered = BTreeMap<(String, String, Hostname), Gathering>;

#[derive(Default)]
struct Gathering {
    routes: Vec<Ranked>,
    parents: Vec<String>,
    created: Option<jiff::Timestamp>,
    export_to: Vec<String>,
}

pub(super) fn convert(
    snapshot: &Snapshot,
    mesh: &Mesh,
    listeners: &[OpenListener<'_>],
    made: &mut Converted,
    attached: &mut BTreeMap<ListenerKey, usize>,
) {
    let mut conversion = Conversion { snapshot, mesh, listeners, gathered: Gathered::new(), attached, made };
    for route in snapshot.http_routes.iter() {
        let rules = route.spec.rules.iter().map(http_rule).collect::<Vec<_>>();
        conversion.route(route, &route.spec.parent_refs, &route.spec.hostnames, &rules);
    }
    for route in snapshot.grpc_routes.iter() {
        let rules = route.spec.rules.iter().map(grpc_rule).collect::<Vec<_>>();
        conversion.route(route, &route.spec.parent_refs, &route.spec.hostnames, &rules);
    }
    let gathered = std::mem::take(&mut conversion.gathered);
    let objects = gathered.into_iter().map(|((namespace, gateway, host), gathering)| {
        virtual_service(&namespace, &gateway, &host, gathering)
    });
    made.virtual_services.extend(objects);
}

struct Conversion<'a, 'b> {
    snapshot: &'a Snapshot,
    mesh: &'a Mesh,
    listeners: &'a [OpenListener<'a>],
    gathered: Gathered,
    attached: &'b mut BTreeMap<ListenerKey, usize>,
    made: &'b mut Converted,
}

impl Conversion<'_, '_> {
    fn route<S: Collected>(
        &mut self,
        object: &Arc<Object<S>>,
        parents: &[ParentReference],
        hostnames: &[String],
        rules: &[Rule],
    ) {
        let mut problem = None;
        let ranked = self.ranked::<S>(object, rules, &mut problem);
        let mut statuses = Vec::new();
        for parent in parents {
            let outcome = if Attaching::is_gateway(parent) {
                self.attach_to_gateway(object, parent, hostnames, &ranked)
            } else {
                self.attach_to_mesh(object, parent, &ranked)
            };
            if let Some(accepted) = outcome {
                statuses.push(judged(parent, accepted, problem.clone()));
            }
        }
        self.made.statuses.extend(of_route(object, &statuses));
    }

    fn attach_to_gateway<S: Collected>(
        &mut self,
        object: &Arc<Object<S>>,
        parent: &ParentReference,
        hostnames: &[String],
        ranked: &[Ranked],
    ) -> Option<Result<(), (&'static str, String)>> {
        let attaching = Attaching::of(object, hostnames);
        let found = match attaching.to(self.snapshot, parent, self.listeners)? {
            Ok(found) => found,
            Err(refused) => return Some(Err(refused)),
        };
        for (open, hosts) in found {
            *self.attached.entry(open.key()).or_default() += 1;
            for host in hosts {
                let namespace = open.gateway.metadata.namespace.clone();
                let key = (namespace, open.internal_reference(), host);
                gather(self.gathered.entry(key).or_default(), object, ranked, Vec::new());
            }
        }
        Some(Ok(()))
    }

    fn attach_to_mesh<S: Collected>(
        &mut self,
        object: &Arc<Object<S>>,
        parent: &ParentReference,
        ranked: &[Ranked],
    ) -> Option<Result<(), (&'static str, String)>> {
        let own = &object.metadata.namespace;
        let MeshParent { hosts, export_to } = match mesh_parent::of(self.snapshot, self.mesh, own, parent)? {
            Ok(found) => found,
            Err(refused) => return Some(Err(refused)),
        };
        let mut ranked = ranked.to_vec();
        if let Some(port) = parent.port {
            for one in &mut ranked {
                one.route.r#match.iter_mut().for_each(|condition| condition.port = u32::from(port));
            }
        }
        for host in hosts {
            let key = (own.clone(), MESH_GATEWAY.to_owned(), host);
            gather(self.gathered.entry(key).or_default(), object, &ranked, export_to.clone());
        }
        Some(Ok(()))
    }

    fn ranked<S: Collected>(
        &self,
        object: &Object<S>,
        rules: &[Rule],
        problem: &mut Option<BackendProblem>,
    ) -> Vec<Ranked> {
        let place = (S::KIND, object.metadata.namespace.as_str());
        let mut ranked = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let metadata = &object.metadata;
            // As Istio names routes without a name.
            let name = || format!("{}.{}.{index}", metadata.namespace, metadata.name);
            let mut base = Declared {
                timeout: rule.timeout,
                retries: rule.retries.clone().map(Box::new),
                name: if rule.name.is_empty() { name() } else { rule.name.clone() },
                ..Declared::default()
            };
            base.route = self.backends(place, &rule.backends, problem);
            for condition in &rule.matches {
                let mut route = base.clone();
                route.r#match = vec![condition.clone()];
                let filtered = filter::apply(self.snapshot, self.mesh, place, &rule.filters, &mut route);
                if let Err(wrong) = filtered {
                    problem.get_or_insert(wrong);
                    route.redirect = None;
                    route.route.clear();
                }
                if route.redirect.is_some() {
                    route.route.clear();
                } else if route.route.is_empty() {
                    route.direct_response = Some(Box::new(HttpDirectResponse { status: 500, body: None }));
                    (route.rewrite, route.mirrors) = (None, Vec::new());
                }
                let rank = rank(condition, object, ranked.len());
                ranked.push(Ranked { rank, route });
            }
        }
        ranked
    }

    fn backends(
        &self,
        place: (&str, &str),
        backends: &[RouteBackend],
        problem: &mut Option<BackendProblem>,
    ) -> Vec<HttpRouteDestination> {
        let mut made = Vec::new();
        for backend in backends {
            let weight = backend.weight.unwrap_or(1);
            let found = destination(self.snapshot, self.mesh, place, backend)
                .and_then(|found| Ok((found, filter::headers(&backend.filters)?)));
            match found {
                Ok((destination, headers)) if weight > 0 => made.push(HttpRouteDestination {
                    destination,
                    weight: if backends.len() == 1 { 0 } else { weight },
                    headers: headers.map(Box::new),
                }),
                Ok(_) => {}
                Err(wrong) => {
                    problem.get_or_insert(wrong);
                }
            }
        }
        made
    }
}

/// What is not served is said of the route; what is not found, of its references.
fn judged(
    parent: &ParentReference,
    accepted: Result<(), (&'static str, String)>,
    problem: Option<BackendProblem>,
) -> ParentStatus {
    let (accepted, resolved) = match problem {
        Some(wrong) if wrong.0 == UNSUPPORTED => (accepted.and(Err(wrong)), None),
        resolved => (accepted, resolved),
    };
    ParentStatus { parent: parent.clone(), accepted, resolved }
}

fn gather<S: Resource>(into: &mut Gathering, object: &Object<S>, ranked: &[Ranked], export_to: Vec<String>) {
    let parent = format!("{}/{}.{}", S::KIND, object.metadata.name, object.metadata.namespace);
    if into.parents.contains(&parent) {
        return;
    }
    into.parents.push(parent);
    into.routes.extend(ranked.iter().cloned());
    let created = object.metadata.creation_timestamp;
    into.created = if into.created.is_none() { created } else { into.created.min(created) };
    into.export_to = export_to;
}

fn virtual_service(
    namespace: &str,
    gateway: &str,
    host: &Hostname,
    mut gathering: Gathering,
) -> Arc<Object<VirtualService>> {
    gathering.routes.sort_by(|left, right| left.rank.cmp(&right.rank));
    let spec = VirtualService {
        hosts: vec![host.to_string()],
        gateways: vec![gateway.to_owned()],
        http: gathering.routes.into_iter().map(|ranked| ranked.route).collect(),
        export_to: gathering.export_to,
        ..VirtualService::default()
    };
    let annotations =
        [(ROUTE_SEMANTICS, GATEWAY_SEMANTICS.to_owned()), (PARENTS, gathering.parents.join(","))];
    let name = format!("{}~{host}", gateway.replace('/', "~"));
    derived(namespace, &name, gathering.created, annotations, spec)
}

fn rank<S: Resource>(condition: &HttpMatchRequest, object: &Object<S>, position: usize) -> Rank {
    let (kind, length) = match &condition.uri {
        Some(StringMatch::Exact(path)) => (3, path.len()),
        Some(StringMatch::Prefix(path)) => (2, path.len()),
        Some(StringMatch::Regex(path)) => (1, path.len()),
        Some(StringMatch::Empty) | None => (0, 0),
    };
    (
        Reverse(kind),
        Reverse(length),
        Reverse(condition.method.is_some()),
        Reverse(condition.headers.len()),
        Reverse(condition.query_params.len()),
        object.metadata.creation_timestamp,
        format!("{}/{}", object.metadata.namespace, object.metadata.name),
        position,
    )
}

fn http_rule(rule: &sagene_api::gateway_api::http_route::HttpRouteRule) -> Rule {
    let timeouts = rule.timeouts.clone().unwrap_or_default();
    let span = |text: &str| text.parse::<Duration>().ok().filter(|span| *span != Duration::ZERO);
    let mut matches: Vec<_> = rule.matches.iter().map(http_match).collect();
    if matches.is_empty() {
        matches.push(http_match(&HttpRouteMatch::default()));
    }
    let per_try = span(&timeouts.backend_request);
    let retries = rule.retry.as_ref().map(|retry| {
        let codes = retry.codes.iter().map(u32::to_string);
        let always = ["connect-failure", "refused-stream", "unavailable", "cancelled"].map(str::to_owned);
        HttpRetry {
            attempts: retry.attempts.unwrap_or(2),
            per_try_timeout: per_try,
            retry_on: always.into_iter().chain(codes).collect::<Vec<_>>().join(","),
            backoff: span(&retry.backoff),
            ..HttpRetry::default()
        }
    });
    // Without retries, the time of one try is that of the request.
    let timeout = span(&timeouts.request).or(per_try.filter(|_| retries.is_none()));
    Rule {
        name: rule.name.clone(),
        matches,
        filters: rule.filters.clone(),
        backends: rule.backend_refs.clone(),
        timeout,
        retries,
    }
}

fn http_match(wanted: &HttpRouteMatch) -> HttpMatchRequest {
    let path = wanted.path.clone().unwrap_or_default();
    let value = path.value.unwrap_or_else(|| "/".to_owned());
    HttpMatchRequest {
        uri: Some(match path.r#type.as_str() {
            "Exact" => StringMatch::Exact(value),
            "RegularExpression" => StringMatch::Regex(value),
            _ => StringMatch::Prefix(value),
        }),
        method: (!wanted.method.is_empty()).then(|| StringMatch::Exact(wanted.method.clone())),
        headers: named(&wanted.headers, true),
        query_params: named(&wanted.query_params, false),
        ..HttpMatchRequest::default()
    }
}

/// Of several conditions with one name the first counts.
fn named(wanted: &[ValueMatch], lower_case: bool) -> SortedMap<String, StringMatch> {
    let mut made = SortedMap::new();
    for one in wanted {
        let name = if lower_case { one.name.to_lowercase() } else { one.name.clone() };
        let value = one.value.clone().unwrap_or_default();
        let matched = match one.r#type.as_str() {
            "RegularExpression" => StringMatch::Regex(value),
            _ => StringMatch::Exact(value),
        };
        made.entry(name).or_insert(matched);
    }
    made
}

fn grpc_rule(rule: &sagene_api::gateway_api::routes::GrpcRouteRule) -> Rule {
    let mut matches: Vec<_> = rule.matches.iter().map(grpc_match).collect();
    if matches.is_empty() {
        matches.push(grpc_match(&GrpcRouteMatch::default()));
    }
    Rule {
        name: String::new(),
        matches,
        filters: rule.filters.clone(),
        backends: rule.backend_refs.clone(),
        timeout: None,
        retries: None,
    }
}

fn grpc_match(wanted: &GrpcRouteMatch) -> HttpMatchRequest {
    let method = wanted.method.clone().unwrap_or_default();
    let or_any = |text: &str| if text.is_empty() { "[^/]+".to_owned() } else { text.to_owned() };
    let regex = method.r#type == "RegularExpression";
    let uri = match (method.service.as_str(), method.method.as_str()) {
        ("", "") => StringMatch::Prefix("/".to_owned()),
        (service, "") if !regex => StringMatch::Prefix(format!("/{service}")),
        (service, name) if regex || service.is_empty() => {
            StringMatch::Regex(format!("/{}/{}", or_any(service), or_any(name)))
        }
        (service, name) => StringMatch::Exact(format!("/{service}/{name}")),
    };
    HttpMatchRequest { uri: Some(uri), headers: named(&wanted.headers, true), ..HttpMatchRequest::default() }
}
