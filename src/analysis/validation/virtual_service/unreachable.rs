//! Routes after one that takes everything, and conditions that an earlier route has already.

use sagene_api::SortedMap;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::virtual_service::{
    HttpMatchRequest, HttpRoute, L4MatchAttributes, TcpRoute, TlsMatchAttributes, TlsRoute,
};
use sagene_api::istio::types::StringMatch;

use super::super::{Problem, Severity};
use crate::code::Code;
use crate::path::FieldPath;

/// What no request and no connection reaches.
pub(crate) fn unreachable(spec: &VirtualService) -> Vec<Problem> {
    let mut problems = Vec::new();
    let path = FieldPath::parse("spec");
    of_routes(&spec.http, &path.key("http"), &mut problems);
    of_routes(&spec.tls, &path.key("tls"), &mut problems);
    of_routes(&spec.tcp, &path.key("tcp"), &mut problems);
    problems
}

/// A route of any protocol.
trait Route {
    type Condition;
    fn name(&self) -> &str;
    fn conditions(&self) -> &[Self::Condition];
    fn condition_name(condition: &Self::Condition) -> &str;
    /// Whether all that `narrow` matches is matched by `wide` too. Only certain cases count: a doubt is a no.
    fn covers(wide: &Self::Condition, narrow: &Self::Condition) -> bool;
    fn is_everything(condition: &Self::Condition) -> bool;
}

fn of_routes<R: Route>(routes: &[R], path: &FieldPath, problems: &mut Vec<Problem>) {
    let first_complete = routes.iter().position(takes_everything);
    for (index, route) in routes.iter().enumerate() {
        let (earlier, path) = (&routes[..index], path.index(index));
        let mut unused = |why: &str| {
            let text = format!("VirtualService rule {} not used ({why}).", name(route, index));
            problems.push(problem(Code::VirtualServiceUnreachableRule, path.clone(), text));
        };
        if first_complete.is_some_and(|complete| complete < index) {
            unused("only the last rule can have no matches");
            continue;
        }
        let covering = |position: usize, condition: &R::Condition| {
            let by_route = |route: &R| route.conditions().iter().any(|wide| R::covers(wide, condition));
            let is_same = |other: &R::Condition| R::covers(other, condition) && R::covers(condition, other);
            let is_repeated = || route.conditions()[..position].iter().any(is_same);
            earlier.iter().position(by_route).or_else(|| is_repeated().then_some(index))
        };
        let covered: Vec<(usize, usize)> = route
            .conditions()
            .iter()
            .enumerate()
            .filter_map(|(position, condition)| Some((position, covering(position, condition)?)))
            .collect();
        if !route.conditions().is_empty() && covered.len() == route.conditions().len() {
            unused("all matches used by prior rules");
            continue;
        }
        for (position, by) in covered {
            let which = match R::condition_name(&route.conditions()[position]) {
                "" => format!("#{position}"),
                name => format!("{name:?}"),
            };
            let text = format!(
                "VirtualService rule {} match {which} is not used (duplicate/overlapping match in rule {}).",
                name(route, index),
                name(&routes[by], by)
            );
            problems.push(problem(
                Code::VirtualServiceIneffectiveMatch,
                path.key("match").index(position),
                text,
            ));
        }
    }
}

fn problem(code: Code, path: FieldPath, message: String) -> Problem {
    Problem { path, message, severity: Severity::Warning, code }
}

fn name<R: Route>(route: &R, index: usize) -> String {
    if route.name().is_empty() { format!("#{index}") } else { format!("{:?}", route.name()) }
}

/// Every request, of whatever client, takes this route.
fn takes_everything<R: Route>(route: &R) -> bool {
    route.conditions().is_empty() || route.conditions().iter().any(R::is_everything)
}

impl Route for HttpRoute {
    type Condition = HttpMatchRequest;

    fn name(&self) -> &str {
        &self.name
    }

    fn conditions(&self) -> &[HttpMatchRequest] {
        &self.r#match
    }

    fn condition_name(condition: &HttpMatchRequest) -> &str {
        &condition.name
    }

    fn covers(wide: &HttpMatchRequest, narrow: &HttpMatchRequest) -> bool {
        covers(wide, narrow)
    }

    fn is_everything(condition: &HttpMatchRequest) -> bool {
        covers(condition, &HttpMatchRequest::default())
    }
}

macro_rules! connections {
    ($route:ty, $condition:ty, $($list:ident),+) => {
        impl Route for $route {
            type Condition = $condition;

            fn name(&self) -> &str {
                ""
            }

            fn conditions(&self) -> &[$condition] {
                &self.r#match
            }

            fn condition_name(_: &$condition) -> &str {
                ""
            }

            fn covers(wide: &$condition, narrow: &$condition) -> bool {
                (wide.port == 0 || wide.port == narrow.port)
                    $(&& any_of(&wide.$list, &narrow.$list))+
                    && any_of(&wide.gateways, &narrow.gateways)
                    && labels_cover(&wide.source_labels, &narrow.source_labels)
                    && (wide.source_namespace.is_empty() || wide.source_namespace == narrow.source_namespace)
            }

            fn is_everything(condition: &$condition) -> bool {
                *condition == <$condition>::default()
            }
        }
    };
}

connections!(TlsRoute, TlsMatchAttributes, sni_hosts, destination_subnets);
connections!(TcpRoute, L4MatchAttributes, destination_subnets);

/// An empty list means any; otherwise each of the narrow ones must be listed.
fn any_of(wide: &[String], narrow: &[String]) -> bool {
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|one| wide.contains(one)))
}

fn labels_cover(wide: &SortedMap<String, String>, narrow: &SortedMap<String, String>) -> bool {
    wide.iter().all(|(key, value)| narrow.get(key) == Some(value))
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
        && labels_cover(&wide.source_labels, &narrow.source_labels)
        && (wide.source_namespace.is_empty() || wide.source_namespace == narrow.source_namespace)
        && any_of(&wide.gateways, &narrow.gateways)
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
