//! Rules that several kinds share: ports, labels, regular expressions, durations, what a policy is attached to.

use std::net::IpAddr;

use sagene_api::Duration;
use sagene_api::istio::networking::common::LabelSelector;
use sagene_api::istio::types::{PolicyTargetReference, StringMatch, WorkloadSelector};

use super::host::is_label;
use super::{Place, Report};
use crate::path::FieldPath;

/// Longest regular expression, in characters.
const LONGEST_REGEX: usize = 1024;
/// Of a selector that selects nothing in particular.
const WITHOUT_LABELS: &str = "workload selector specified without labels: it applies to all workloads of the namespace; name labels, or remove it";
/// Protocols a port may have.
pub(super) const PROTOCOLS: &[&str] = &[
    "HTTP",
    "HTTPS",
    "GRPC",
    "GRPC-WEB",
    "HTTP2",
    "MONGO",
    "TCP",
    "TLS",
    "MYSQL",
    "REDIS",
    "HBONE",
    "UDP",
    "HTTP_PROXY",
];

/// A port number from 1 to 65535.
pub(super) fn port<'p>(report: &mut Report, place: impl Into<Place<'p>>, number: u32) {
    if number == 0 || number > 65_535 {
        report.error(place, format!("port number {number} must be in the range 1..65535"));
    }
}

/// A regular expression that compiles and is not too long.
pub(super) fn regex<'p>(report: &mut Report, place: impl Into<Place<'p>>, text: &str) {
    if text.is_empty() {
        report.error(place, "regex string match should not be empty; \".*\" matches any text");
    } else if text.chars().count() > LONGEST_REGEX {
        report.error(place, format!("regex is too large, max length allowed is {LONGEST_REGEX}"));
    } else if let Some(reason) = regex_problem(text) {
        report.error(place, format!("{text:?} is no RE2 expression: {reason}"));
    }
}

/// Why a text is no regular expression.
pub(super) fn regex_problem(text: &str) -> Option<String> {
    let error = regex::Regex::new(text).err()?.to_string();
    Some(error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
}

/// The regular expression in a match, if it is one.
pub(super) fn string_match<'p>(report: &mut Report, place: impl Into<Place<'p>>, text: Option<&StringMatch>) {
    if let Some(StringMatch::Regex(expression)) = text {
        regex(report, place.into().key("regex"), expression);
    }
}

/// The same where a prefix must not be empty: proxies refuse such a match.
pub(super) fn filled_string_match(report: &mut Report, place: Place<'_>, text: Option<&StringMatch>) {
    string_match(report, place, text);
    if matches!(text, Some(StringMatch::Prefix(prefix)) if prefix.is_empty()) {
        report.error(
            place.key("prefix"),
            "prefix string match should not be empty; leave it out to take any text",
        );
    }
}

/// A duration of at least one millisecond, in whole milliseconds.
pub(super) fn duration<'p>(report: &mut Report, place: impl Into<Place<'p>>, duration: Option<Duration>) {
    let Some(duration) = duration else { return };
    if duration.as_millis() < 1 {
        report.error(place, "duration must be greater than 1ms");
    } else if duration.subsec_nanos() % 1_000_000 != 0 {
        report.error(place, "only durations to ms precision are supported");
    }
}

/// Whole percents, or none of them.
pub(super) fn percent<'p>(report: &mut Report, place: impl Into<Place<'p>>, value: i64) {
    report.require(
        (0..=100).contains(&value),
        place,
        format_args!("percentage {value} is not in range 0..100"),
    );
}

/// `exportTo`: namespaces, `.` or `*`, which stands alone; `~`, for nobody, is for ServiceEntries.
pub(super) fn export_to(report: &mut Report, entries: &[String], namespace: &str, to_nobody: bool) {
    let path = FieldPath::parse("spec.exportTo");
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        let is_sign = matches!(entry.as_str(), "*" | ".") || (to_nobody && entry == "~");
        if entry == "~" && !is_sign {
            report.error(
                &path,
                "exportTo \"~\" (nobody) is not allowed here; \".\" keeps it to its own namespace",
            );
            continue;
        }
        let words = format_args!("{entry:?} is no namespace; want a namespace, \".\" or \"*\"");
        report.require(is_sign || is_label(entry), &path, words);
        let meaning = |entry: &str| if entry == "." { namespace.to_owned() } else { entry.to_owned() };
        let repeated = entries[..index]
            .iter()
            .any(|other| other == entry || (!namespace.is_empty() && meaning(other) == meaning(entry)));
        report.require(!repeated, &path, "duplicate entries in exportTo");
    }
    let alone = entries.len() > 1 && entries.iter().any(|entry| entry == "*" || entry == "~");
    report.require(!alone, &path, "\"*\" and \"~\" must stand alone");
}

/// An IP address, or a range of them.
pub(super) fn is_subnet(text: &str) -> bool {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

/// An IP address or `unix://` with the path of a socket; empty is fine.
pub(super) fn bind(report: &mut Report, path: &FieldPath, text: &str) {
    if let Some(socket) = text.strip_prefix("unix://") {
        unix_socket(report, path, socket);
    } else if !text.is_empty() {
        report.require(
            text.parse::<IpAddr>().is_ok(),
            path,
            format_args!("{text:?} is no IP address and no unix:// path"),
        );
    }
}

/// The path of a socket behind `unix://`.
pub(super) fn unix_socket(report: &mut Report, path: &FieldPath, socket: &str) {
    report.require(
        socket.starts_with('/') || socket.starts_with('@'),
        path,
        format_args!("{socket:?} is not an absolute path; write unix:///path or unix://@name"),
    );
    report.require(!socket.ends_with('/'), path, "a socket cannot be a folder");
}

/// Labels as Kubernetes has them.
pub(super) fn labels<'p, 'l>(
    report: &mut Report,
    place: impl Into<Place<'p>>,
    labels: impl IntoIterator<Item = (&'l String, &'l String)>,
) {
    let place = place.into();
    for (key, value) in labels {
        let place = place.key(key);
        report.require(is_label_key(key), place, format_args!("{key:?} is no label key; want [prefix/]name"));
        report.require(
            value.is_empty() || is_label_value(value),
            place,
            format_args!("{value:?} is no label value; want at most 63 letters, digits, '-', '_' and '.'"),
        );
    }
}

/// At most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
pub(super) fn is_label_value(text: &str) -> bool {
    let ends = |character: char| character.is_ascii_alphanumeric();
    let allowed = text.chars().all(|character| ends(character) || "-_.".contains(character));
    text.len() <= 63 && allowed && text.starts_with(ends) && text.ends_with(ends)
}

/// `[prefix/]name`.
pub(super) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let prefix_fits = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_label));
    !name.is_empty() && is_label_value(name) && prefix_fits
}

/// Keys and values of a selector: no wildcards, no empty keys.
fn selector_entries<'l>(
    report: &mut Report,
    path: &FieldPath,
    entries: impl IntoIterator<Item = (&'l String, &'l String)>,
) {
    for (key, value) in entries {
        report.require(!key.is_empty(), path, "empty key is not supported in selector");
        let wild = key.contains('*') || value.contains('*');
        report.require(
            !wild,
            &path.key(key),
            format_args!("wildcard is not supported in selector: {key}={value}"),
        );
    }
}

/// `workloadSelector.labels`.
pub(super) fn label_selector(report: &mut Report, path: &FieldPath, selector: Option<&LabelSelector>) {
    let Some(selector) = selector else { return };
    let path = path.key("workloadSelector");
    if selector.labels.is_empty() {
        report.warning(&path, WITHOUT_LABELS);
    }
    selector_entries(report, &path.key("labels"), &selector.labels);
}

/// `selector.matchLabels`, under whatever name.
pub(super) fn workload_selector(report: &mut Report, path: &FieldPath, selector: Option<&WorkloadSelector>) {
    let Some(selector) = selector else { return };
    if selector.match_labels.is_empty() {
        report.warning(path, WITHOUT_LABELS);
    }
    selector_entries(report, &path.key("matchLabels"), &selector.match_labels);
}

/// What a policy is attached to: by labels or by reference, not by both.
pub(super) fn attachment(
    report: &mut Report,
    selector: Option<&WorkloadSelector>,
    target: Option<&PolicyTargetReference>,
    targets: &[PolicyTargetReference],
) {
    let path = FieldPath::parse("spec");
    let ways =
        usize::from(selector.is_some()) + usize::from(target.is_some()) + usize::from(!targets.is_empty());
    report.require(ways <= 1, &path, "only one of targetRefs or selector can be set");
    workload_selector(report, &path.key("selector"), selector);
    if let Some(target) = target {
        target_reference(report, &path.key("targetRef"), target);
    }
    target_references(report, &path, targets);
}

/// `targetRefs`.
pub(super) fn target_references(report: &mut Report, path: &FieldPath, targets: &[PolicyTargetReference]) {
    for (index, target) in targets.iter().enumerate() {
        target_reference(report, &path.key("targetRefs").index(index), target);
    }
}

/// Kinds a policy can be attached to, by group.
const TARGETS: &[(&str, &str)] = &[
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("inference.networking.k8s.io", "InferencePool"),
];

fn target_reference(report: &mut Report, path: &FieldPath, target: &PolicyTargetReference) {
    report.require(!target.name.is_empty(), &path.key("name"), "targetRef name must be set");
    report.require(
        target.namespace.is_empty(),
        &path.key("namespace"),
        "cross namespace referencing is not currently supported",
    );
    let known = TARGETS.contains(&(target.group.as_str(), target.kind.as_str()));
    let words = "targetRef must be a Gateway or GatewayClass (gateway.networking.k8s.io), a Service (\"\") or a ServiceEntry (networking.istio.io)";
    report.require(
        known,
        &path.key("kind"),
        format_args!("{words}, not {:?} of {:?}", target.kind, target.group),
    );
}
