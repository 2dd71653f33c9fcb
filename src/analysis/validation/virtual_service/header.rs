//! Rules of header names and values.

use sagene_api::istio::networking::virtual_service::{HeaderOperations, Headers};

use super::super::{Place, Report};
use crate::path::FieldPath;

/// Begins the name of a condition on a claim of a token.
const CLAIM: &str = "@request.auth.claims";

/// `@request.auth.claims.name` or `@request.auth.claims[name]`: a claim in place of a header.
pub(super) fn is_claim(name: &str) -> bool {
    name.strip_prefix(CLAIM).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// What HTTP allows in a name.
pub(in crate::validation) fn header_name<'p>(report: &mut Report, path: impl Into<Place<'p>>, name: &str) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() {
        report.error(path, "header name cannot be empty");
    } else if !name.bytes().all(allowed) {
        report.error(
            path,
            format!("header name {name:?} is not a valid header name; want letters, digits, '-' and '_'"),
        );
    }
}

/// Changes of headers, below `path`.
pub(super) fn headers(report: &mut Report, path: Place<'_>, headers: Option<&Headers>) {
    let Some(headers) = headers else { return };
    for (side, operations) in [("request", &headers.request), ("response", &headers.response)] {
        let Some(HeaderOperations { set, add, remove }) = operations else { continue };
        let list = path.key("headers");
        let path = list.key(side);
        for (field, changes) in [("set", set), ("add", add)] {
            for (name, value) in changes {
                let list = path.key(field);
                let path = list.key(name);
                if side == "response" || !is_authority(name) {
                    changed_name(report, path, name);
                }
                header_value(report, path, value);
            }
        }
        for (index, name) in remove.iter().enumerate() {
            changed_name(report, path.key("remove").index(index), name);
        }
    }
}

/// A value in which `%` stands around a word of the proxy, or twice for itself.
fn header_value(report: &mut Report, path: Place<'_>, value: &str) {
    report.require(
        value.chars().all(|character| character == '\t' || !character.is_control()),
        path,
        format_args!("header value {value:?} has control characters"),
    );
    report.require(
        value.matches('%').count().is_multiple_of(2),
        path,
        format_args!("header value {value:?}: single % not allowed; write %% for a percent sign, or a word of the proxy as in %START_TIME%"),
    );
}

/// How often a route gives the request another authority: by `rewrite.authority` or by a header.
pub(super) fn authorities(report: &mut Report, path: Place<'_>, authority: &str, headers: Option<&Headers>) {
    let request = headers.and_then(|headers| headers.request.as_ref());
    let mut places: Vec<FieldPath> = Vec::new();
    for (field, changes) in
        request.into_iter().flat_map(|request| [("set", &request.set), ("add", &request.add)])
    {
        let names = changes.keys().filter(|name| is_authority(name));
        places.extend(names.map(|name| path.key("headers").key("request").key(field).key(name).path()));
    }
    if !authority.is_empty() {
        places.push(path.key("rewrite").key("authority").path());
    }
    if let [_, .., last] = places.as_slice() {
        report.error(last, "the authority is given more than once, by headers Host and :authority and by rewrite.authority; keep one");
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

fn changed_name(report: &mut Report, path: Place<'_>, name: &str) {
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        report
            .error(path, format!("header {name:?} cannot be changed here: it begins with \":\" or is Host"));
    } else {
        header_name(report, path, name);
    }
}
