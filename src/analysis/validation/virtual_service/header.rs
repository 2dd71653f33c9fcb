//! Rules of header names and values.

use sagene_api::istio::networking::virtual_service::{HeaderOperations, Headers};

use super::super::Report;
use crate::path::FieldPath;

/// Begins the name of a condition on a claim of a token.
pub(super) const CLAIM: &str = "@request.auth.claims";

/// Letters, digits, `-` and `_`.
pub(super) fn header_name(report: &mut Report, path: &FieldPath, name: &str) {
    let allowed = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if name.is_empty() {
        report.error(path, "header name cannot be empty");
    } else if !allowed {
        report.error(
            path,
            format!("header name {name:?} is not a valid header name; want letters, digits, '-' and '_'"),
        );
    }
}

/// Changes of headers, below `path`.
pub(super) fn headers(report: &mut Report, path: &FieldPath, headers: Option<&Headers>) {
    let Some(headers) = headers else { return };
    for (side, operations) in [("request", &headers.request), ("response", &headers.response)] {
        let Some(HeaderOperations { set, add, remove }) = operations else { continue };
        let path = path.key("headers").key(side);
        for (field, changes) in [("set", set), ("add", add)] {
            for (name, value) in changes {
                let path = path.key(field).key(name);
                if side == "request" && is_authority(name) {
                    continue;
                }
                changed_name(report, &path, name);
                report.require(
                    value.chars().all(|character| character == '\t' || !character.is_control()),
                    &path,
                    &format!("header value {value:?} has control characters"),
                );
            }
        }
        for (index, name) in remove.iter().enumerate() {
            changed_name(report, &path.key("remove").index(index), name);
        }
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

fn changed_name(report: &mut Report, path: &FieldPath, name: &str) {
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        report
            .error(path, format!("header {name:?} cannot be changed here: it begins with \":\" or is Host"));
    } else {
        header_name(report, path, name);
    }
}
