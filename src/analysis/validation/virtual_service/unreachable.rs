//! Routes after one that takes everything, and conditions that earlier routes have already.
//!
//! What Istio's validation tells has its codes (IST0130, IST0131): routes behind one without conditions, conditions that stand there twice,
//! and prefixes of paths within a prefix of an earlier route that asks for nothing else. Whatever else an earlier route takes before is a
//! route that never matches (SGN0003).

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
    /// Whether they are the same but for their names.
    fn is_same(left: &Self::Condition, right: &Self::Condition) -> bool;
    /// The prefixes of both, where `narrow` differs from `wide` in a longer prefix of the path alone.
    fn prefixes<'c>(wide: &'c Self::Condition, narrow: &'c Self::Condition) -> Option<(&'c str, &'c str)>;
}

/// Who has a condition already: the route, the place among its conditions, and how.
struct Taken<'c> {
    by: usize,
    position: usize,
    how: How<'c>,
}

enum How<'c> {
    /// It stands there word for word.
    Same,
    /// A shorter prefix stands there, and this is the longer one.
    Prefix(&'c str, &'c str),
    /// In some other way.
    Wider,
}

fn of_routes<R: Route>(routes: &[R], path: &FieldPath, problems: &mut Vec<Problem>) {
    let first_bare = routes.iter().position(|route| route.conditions().is_empty());
    for (index, route) in routes.iter().enumerate() {
        let path = path.index(index);
        let unused = |why: &str| {
            let text = format!("VirtualService rule {} not used ({why}).", name(route, index));
            problem(Code::VirtualServiceUnreachableRule, path.clone(), text)
        };
        let conditions = route.conditions();
        if first_bare.is_some_and(|bare| bare < index) {
            problems.push(unused(if conditions.is_empty() {
                "only the last rule can have no matches"
            } else {
                "route without matches defined before"
            }));
            continue;
        }
        if conditions.is_empty()
            && let Some(by) = routes[..index].iter().position(takes_everything)
        {
            problems.push(never("This route gets", path.clone(), by, &routes[by]));
        }
        let taken: Vec<(usize, Taken<'_>)> = (0..conditions.len())
            .filter_map(|position| Some((position, taker(&routes[..index], route, position)?)))
            .collect();
        let is_repeated = |(_, taken): &(usize, Taken<'_>)| matches!(taken.how, How::Same);
        if !conditions.is_empty() && taken.iter().filter(|it| is_repeated(it)).count() == conditions.len() {
            problems.push(unused("all matches used by prior rules"));
        }
        for (position, taken) in taken {
            let path = path.key("match").index(position);
            problems.push(ineffective(&routes[..=index], position, &taken, path));
        }
    }
}

/// Who has a condition already: an earlier route, or the route itself where it says so twice.
fn taker<'c, R: Route>(earlier: &'c [R], route: &'c R, position: usize) -> Option<Taken<'c>> {
    let condition = &route.conditions()[position];
    let before = || {
        let of_route = |(by, route): (usize, &'c R)| {
            route.conditions().iter().enumerate().map(move |(position, other)| (by, position, other))
        };
        earlier.iter().enumerate().flat_map(of_route)
    };
    let own = route.conditions()[..position].iter().enumerate();
    let own = own.map(|(position, other)| (earlier.len(), position, other));
    let same = before().chain(own).find(|(_, _, other)| R::is_same(other, condition));
    if let Some((by, position, _)) = same {
        return Some(Taken { by, position, how: How::Same });
    }
    let (by, position, how) = before().find_map(|(by, position, other)| {
        let prefixes = || R::prefixes(other, condition).map(|(wide, narrow)| How::Prefix(wide, narrow));
        R::covers(other, condition).then(|| (by, position, prefixes().unwrap_or(How::Wider)))
    })?;
    Some(Taken { by, position, how })
}

/// What is said of a condition that others have already, of the last of these routes.
fn ineffective<R: Route>(routes: &[R], position: usize, taken: &Taken<'_>, path: FieldPath) -> Problem {
    let own = routes.len() - 1;
    let which = |route: &R, position: usize| match R::condition_name(&route.conditions()[position]) {
        "" => format!("#{position}"),
        name => format!("{name:?}"),
    };
    let (rule, by) = (name(&routes[own], own), name(&routes[taken.by], taken.by));
    let own = which(&routes[own], position);
    let words = match taken.how {
        How::Same => format!("match {own} is not used (duplicate/overlapping match in rule {by})"),
        How::Prefix(wide, narrow) => {
            let other = which(&routes[taken.by], taken.position);
            format!(
                "match {own} of prefix {narrow} is not used (duplicate/overlapping match in rule {other} of prefix {wide} on {by})"
            )
        }
        How::Wider => return never("This condition matches", path, taken.by, &routes[taken.by]),
    };
    problem(Code::VirtualServiceIneffectiveMatch, path, format!("VirtualService rule {rule} {words}."))
}

/// SGN0003, of a route or condition.
fn never<R: Route>(what: &str, path: FieldPath, by: usize, taker: &R) -> Problem {
    let text = format!("{what} no request: rule {} takes them all before.", name(taker, by));
    problem(Code::RouteNeverMatches, path, text)
}

fn problem(code: Code, path: FieldPath, message: String) -> Problem {
    Problem { path, message, severity: Severity::Warning, code }
}

fn name<R: Route>(route: &R, index: usize) -> String {
    if route.name().is_empty() { format!("#{index}") } else { format!("{:?}", route.name()) }
}

/// Every request, of whatever client, takes this route, which has conditions.
fn takes_everything<R: Route>(route: &R) -> bool {
    route.conditions().iter().any(R::is_everything)
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

    fn is_same(left: &HttpMatchRequest, right: &HttpMatchRequest) -> bool {
        let nameless = |of: &HttpMatchRequest| HttpMatchRequest { name: String::new(), ..of.clone() };
        covers(left, right) && covers(right, left) && nameless(left) == nameless(right)
    }

    fn prefixes<'c>(wide: &'c HttpMatchRequest, narrow: &'c HttpMatchRequest) -> Option<(&'c str, &'c str)> {
        let get = StringMatch::Exact("GET".to_owned());
        let alike = wide.port == narrow.port
            && wide.authority == narrow.authority
            && wide.headers == narrow.headers
            && wide.query_params == narrow.query_params
            && wide.without_headers == narrow.without_headers
            && (wide.method == narrow.method || wide.method.is_none() && narrow.method == Some(get));
        match (&wide.uri, &narrow.uri) {
            (Some(StringMatch::Prefix(wide)), Some(StringMatch::Prefix(narrow))) if alike => {
                (!wide.is_empty() && wide != narrow).then_some((wide, narrow))
            }
            _ => None,
        }
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

            fn is_same(left: &$condition, right: &$condition) -> bool {
                left == right
            }

            fn prefixes<'c>(_: &'c $condition, _: &'c $condition) -> Option<(&'c str, &'c str)> {
                None
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
