//! Rules of load balancing.

use sagene_api::istio::networking::traffic_policy::LoadBalancerSettings;
use sagene_api::istio::networking::traffic_policy::load_balancer::{
    ConsistentHashLb, LocalityLoadBalancerSetting,
};

use super::super::Report;
use super::super::common::duration;
use crate::path::FieldPath;

/// Largest Maglev table.
const LARGEST_TABLE: u64 = 5_000_011;
/// Labels that say the same as `failover`.
const TOPOLOGY: &[&str] =
    &["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

pub(super) fn rules(
    report: &mut Report,
    path: &FieldPath,
    settings: &LoadBalancerSettings,
    has_outlier: bool,
) {
    if let Some(hash) = &settings.consistent_hash {
        consistent_hash(report, &path.key("consistentHash"), hash);
    }
    if let Some(locality) = &settings.locality_lb_setting {
        let path = path.key("localityLbSetting");
        locality_rules(report, &path, locality);
        if !has_outlier && (!locality.failover.is_empty() || !locality.failover_priority.is_empty()) {
            report.warning(&path, "outlier detection policy must be provided for failover; set outlierDetection beside loadBalancer");
        }
    }
    if let Some(warmup) = &settings.warmup {
        let path = path.key("warmup");
        duration(report, &path.key("duration"), Some(warmup.duration));
        report.require(
            warmup.aggression.is_none_or(|aggression| aggression >= 1.0),
            &path.key("aggression"),
            "warmup aggression should be greater than or equal to 1",
        );
        report.require(
            warmup.minimum_percent.is_none_or(|percent| percent <= 100.0),
            &path.key("minimumPercent"),
            "warmup minimumPercent should be less than or equal to 100",
        );
    }
    duration(report, &path.key("warmupDurationSecs"), settings.warmup_duration_secs);
}

fn consistent_hash(report: &mut Report, path: &FieldPath, hash: &ConsistentHashLb) {
    if let Some(cookie) = &hash.http_cookie {
        let path = path.key("httpCookie");
        report.require(!cookie.name.is_empty(), &path.key("name"), "name required for HttpCookie");
    }
    for (field, value) in [
        ("httpHeaderName", &hash.http_header_name),
        ("httpQueryParameterName", &hash.http_query_parameter_name),
    ] {
        let given = value.as_ref().is_none_or(|name| !name.is_empty());
        report.require(given, &path.key(field), format_args!("{field} must not be empty"));
    }
    if hash.minimum_ring_size != 0 {
        report.warning(
            &path.key("minimumRingSize"),
            "consistent hash minimumRingSize is deprecated, use ringHash.minimumRingSize instead",
        );
        report.require(
            hash.maglev.is_none() && hash.ring_hash.is_none(),
            &path.key("minimumRingSize"),
            "only one of minimumRingSize and maglev or ringHash can be set",
        );
    }
    if let Some(maglev) = &hash.maglev {
        let size = maglev.table_size;
        report.require(
            size < LARGEST_TABLE && is_prime(size),
            &path.key("maglev").key("tableSize"),
            format_args!("tableSize must be set, to a prime number below {LARGEST_TABLE} such as 65537"),
        );
    }
}

fn is_prime(number: u64) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}

/// Rules of locality load balancing, of a destination and of the mesh.
pub(in crate::validation) fn locality_rules(
    report: &mut Report,
    path: &FieldPath,
    setting: &LocalityLoadBalancerSetting,
) {
    let exclusive = !setting.distribute.is_empty()
        && (!setting.failover.is_empty() || !setting.failover_priority.is_empty());
    report.require(!exclusive, path, "can not specify distribute together with failover or failoverPriority");
    if !setting.failover.is_empty() {
        for (index, label) in setting.failover_priority.iter().enumerate() {
            report.require(
                !TOPOLOGY.contains(&label.split('=').next().unwrap_or_default()),
                &path.key("failoverPriority").index(index),
                format_args!(
                    "can not simultaneously set failover and topology label {label:?} in failoverPriority"
                ),
            );
        }
    }
    let mut sources = Vec::new();
    for (index, distribute) in setting.distribute.iter().enumerate() {
        let path = path.key("distribute").index(index);
        locality(report, &path.key("from"), &distribute.from, &mut sources);
        let mut targets = Vec::new();
        for (to, weight) in &distribute.to {
            locality(report, &path.key("to").key(to), to, &mut targets);
            report.require(
                (1..=100).contains(weight),
                &path.key("to").key(to),
                format_args!("locality weight {weight} must be in range [1, 100]"),
            );
        }
        let total: u64 = distribute.to.values().map(|weight| u64::from(*weight)).sum();
        report.require(total == 100, &path.key("to"), format_args!("total locality weight {total} != 100"));
    }
    for (index, failover) in setting.failover.iter().enumerate() {
        let path = path.key("failover").index(index);
        report.require(
            failover.from != failover.to,
            &path,
            "locality lb failover from and to must be different regions",
        );
        for (field, region) in [("from", &failover.from), ("to", &failover.to)] {
            report.require(
                !region.contains(['*', '/']),
                &path.key(field),
                "locality lb failover takes a region alone, without zone and without '*'",
            );
        }
    }
}

/// `region/zone/subzone`, with one `*` at the end at most, and not overlapping those before it.
fn locality<'l>(report: &mut Report, path: &FieldPath, text: &'l str, earlier: &mut Vec<&'l str>) {
    let stars = text.matches('*').count();
    report.require(
        stars == 0 || (stars == 1 && text.ends_with('*')),
        path,
        format_args!("locality {text:?} wildcard '*' number can not exceed 1 and must be in the end"),
    );
    report.require(
        text.splitn(3, '/').all(|part| !part.is_empty()),
        path,
        format_args!("locality {text:?} must not contain empty region/zone/subzone info"),
    );
    if let Some(other) = earlier.iter().find(|other| overlap(other, text)) {
        report.error(path, format!("locality {text:?} overlaps with {other:?}"));
    }
    earlier.push(text);
}

/// Whether one place holds the other: a place holds all below it, with or without `*`.
fn overlap(left: &str, right: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        text.split('/').filter(|part| *part != "*").map(str::to_owned).collect()
    };
    let (left, right) = (parts(left), parts(right));
    left.iter().zip(&right).all(|(left, right)| left == right)
}
