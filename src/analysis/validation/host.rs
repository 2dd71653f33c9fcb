//! Names of hosts, and the labels they are made of.

use super::{Place, Report};
use crate::path::FieldPath;

/// Longest host name, in characters.
const LONGEST_HOST: usize = 255;

/// What is wrong with a host name, where something is. With `wildcard`, its first label may begin with `*`.
pub(super) fn host_problem(text: &str, wildcard: bool) -> Option<String> {
    let kind =
        if wildcard { "host name and no wildcard like *.example.com" } else { "fully qualified host name" };
    if text.is_empty() {
        return Some("host name must not be empty".to_owned());
    }
    if text.len() > LONGEST_HOST {
        return Some(format!("{text:?} is longer than {LONGEST_HOST} characters"));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let mut labels = name.split('.');
    let first = labels.next().unwrap_or_default();
    let first_fits = match first.strip_prefix('*') {
        Some(rest) if wildcard => rest.is_empty() || is_label(rest.strip_prefix('-').unwrap_or(rest)),
        _ => is_label(first),
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    // A label that stands alone is the name of a service, not a top-level domain.
    let is_short = wildcard && !name.contains('.');
    let numeric = !is_short && last.bytes().all(|byte| byte.is_ascii_digit());
    match () {
        () if !first_fits || !labels.all(is_label) => Some(format!("{text:?} is no {kind}")),
        () if numeric => Some(format!("{text:?} is no {kind}: its last label is a number")),
        () => None,
    }
}

/// A host name of labels of letters, digits and `-`; with `wildcard`, its first label may begin with `*`.
pub(super) fn host<'p>(report: &mut Report, place: impl Into<Place<'p>>, text: &str, wildcard: bool) {
    if let Some(problem) = host_problem(text, wildcard) {
        report.error(place, problem);
    }
}

/// A wildcard that is only a part of its label, `*foo.com`: proxies know none in the names of TLS.
pub(super) fn partial_wildcard(text: &str) -> Option<String> {
    let is_partial = text.starts_with('*') && text.len() > 1 && !text.starts_with("*.");
    is_partial
        .then(|| format!("partial wildcard {text:?} not allowed; want a whole label, as in *.example.com"))
}

/// A label of a host name: letters, digits and `-`, at most 63.
pub(super) fn is_label(text: &str) -> bool {
    let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    !text.is_empty() && text.len() <= 63 && allowed && !text.starts_with('-') && !text.ends_with('-')
}

/// A host of a server or of a listener: no short name, which would mean another host in every namespace, and no wildcard but for a whole
/// label.
pub(super) fn full_host(report: &mut Report, path: &FieldPath, text: &str) {
    if is_label(text) {
        report.error(
            path,
            format!("short names (non FQDN) are not allowed: {text:?}; write it with its domain, as in {text}.NAMESPACE.svc.cluster.local"),
        );
    } else if let Some(problem) = host_problem(text, true).or_else(|| partial_wildcard(text)) {
        report.error(path, problem);
    }
}

/// A name in Kubernetes: lower-case letters, digits and `-`, at most 63.
pub(super) fn is_dns_label(text: &str) -> bool {
    is_label(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}
