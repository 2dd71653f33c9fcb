//! Rules that several kinds share: hosts, ports, labels, regular expressions, durations.

use sagene_api::Duration;
use sagene_api::istio::types::StringMatch;

use super::Report;
use crate::path::FieldPath;

/// Longest regular expression, in characters.
const LONGEST_REGEX: usize = 1024;

/// A DNS name of labels of letters, digits, `-` and `_`; with `wildcard`, its first label may be `*`.
pub(super) fn host(report: &mut Report, path: &FieldPath, text: &str, wildcard: bool) {
    let name = if wildcard && text == "*" { return } else { text };
    let name = if wildcard { name.strip_prefix("*.").unwrap_or(name) } else { name };
    let is_label = |label: &str| {
        let allowed = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        !label.is_empty() && label.len() <= 63 && allowed && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.is_empty() || name.len() > 253 || !name.trim_end_matches('.').split('.').all(is_label) {
        report.error(
            path,
            format!(
                "{text:?} is no host name{}",
                if wildcard { " and no wildcard like *.example.com" } else { "" }
            ),
        );
    }
}

/// A port number from 1 to 65535.
pub(super) fn port(report: &mut Report, path: &FieldPath, number: u32) {
    if number == 0 || number > 65_535 {
        report.error(path, format!("port number {number} must be in the range 1..65535"));
    }
}

/// A label of DNS: lower-case letters, digits and `-`, at most 63.
pub(super) fn is_dns_label(text: &str) -> bool {
    let allowed = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    !text.is_empty() && text.len() <= 63 && allowed && !text.starts_with('-') && !text.ends_with('-')
}

/// A regular expression that compiles and is not too long.
pub(super) fn regex(report: &mut Report, path: &FieldPath, text: &str) {
    if text.chars().count() > LONGEST_REGEX {
        report.error(path, format!("regex is too large, max length allowed is {LONGEST_REGEX}"));
    } else if let Err(error) = regex::Regex::new(text) {
        let reason = error.to_string();
        report.error(
            path,
            format!(
                "{text:?} is no RE2 expression: {}",
                reason.lines().last().unwrap_or_default().trim_start_matches("error: ")
            ),
        );
    }
}

/// The regular expression in a match, if it is one.
pub(super) fn string_match(report: &mut Report, path: &FieldPath, text: Option<&StringMatch>) {
    if let Some(StringMatch::Regex(expression)) = text {
        regex(report, &path.key("regex"), expression);
    }
}

/// A duration of at least one millisecond, in whole milliseconds.
pub(super) fn duration(report: &mut Report, path: &FieldPath, duration: Option<Duration>) {
    let Some(duration) = duration else { return };
    if duration.as_millis() < 1 {
        report.error(path, "duration must be greater than 1ms");
    } else if duration.subsec_nanos() % 1_000_000 != 0 {
        report.error(path, "only durations to ms precision are supported");
    }
}

/// `exportTo`: namespaces, `.`, `*` or `~`; `*` and `~` stand alone.
pub(super) fn export_to(report: &mut Report, entries: &[String]) {
    let path = FieldPath::parse("spec.exportTo");
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        let is_sign = matches!(entry.as_str(), "*" | "." | "~");
        report.require(is_sign || is_dns_label(entry), &path, "want a namespace, \".\", \"*\" or \"~\"");
        report.require(
            entries[..index].iter().all(|other| other != entry),
            &path,
            "duplicate entries in exportTo",
        );
    }
    let alone = entries.len() > 1 && entries.iter().any(|entry| entry == "*" || entry == "~");
    report.require(!alone, &path, "\"*\" and \"~\" must stand alone");
}

/// An IP address, or a range of them.
pub(super) fn is_subnet(text: &str) -> bool {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}
