//! Statistics as text: Envoy's own form and Prometheus'.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::istio::escape;
use super::registry::{Registry, Sample, SampleValue};

impl Registry {
    /// `name: value` lines as Envoy's `/stats` writes them.
    pub fn render_text(&self) -> String {
        let mut out = String::new();
        for sample in self.samples() {
            if let SampleValue::Counter(value) | SampleValue::Gauge(value) = sample.value {
                let _ = writeln!(out, "{}: {value}", sample.name);
            }
        }
        out
    }

    /// Prometheus text format: Envoy's statistics as `envoy_*` and the mesh's standard metrics as `istio_*`.
    pub fn render_prometheus(&self) -> String {
        let mut families: BTreeMap<String, (bool, Vec<(String, u64)>)> = BTreeMap::new();
        for sample in self.samples() {
            let (family, label) = family_of(&sample);
            let (gauge, value) = match sample.value {
                SampleValue::Counter(value) => (false, value),
                SampleValue::Gauge(value) => (true, value),
                SampleValue::Histogram { .. } => continue,
            };
            families.entry(family).or_insert((gauge, Vec::new())).1.push((label, value));
        }
        let mut out = String::new();
        for (family, (gauge, series)) in families {
            let _ = writeln!(out, "# TYPE {family} {}", if gauge { "gauge" } else { "counter" });
            for (label, value) in series {
                let _ = writeln!(out, "{family}{{{label}}} {value}");
            }
        }
        self.istio().render(&mut out);
        let _ = writeln!(
            out,
            "# TYPE istio_build gauge\nistio_build{{component=\"proxy\",tag=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        );
        out
    }
}

/// Groups of a cluster's statistics, with the dots that follow: the last dot of the whole is not where the cluster's name ends.
const CLUSTER_GROUPS: [(&str, usize); 3] =
    [(".circuit_breakers.", 1), (".outlier_detection.", 0), (".ssl.", 0)];

/// Policies' counters as the stat tags of Istio's bootstrap make them: what was said becomes a label.
fn policy_family(scope: &str, middle: &str, leaf: &str) -> (String, String) {
    let words = match leaf.split_once(".shadow_") {
        Some((prefix, said)) if prefix.starts_with("istio_dry_run_") => {
            let action = prefix.trim_start_matches("istio_dry_run_").trim_end_matches('_');
            format!("authz_dry_run_action=\"{}\",authz_dry_run_result=\"{said}\"", escape(action))
        }
        _ if leaf.starts_with("shadow_") => {
            format!("authz_dry_run_result=\"{}\"", leaf.trim_start_matches("shadow_"))
        }
        _ => format!("authz_enforce_result=\"{}\"", escape(leaf)),
    };
    (format!("envoy_{scope}_{}_rbac", flat(middle)), words)
}

/// Family name and labels, as the stat tags of Istio's bootstrap make them of Envoy's dotted names: clusters, addresses of listeners and
/// classes of answers become labels, all else is part of the family's name.
fn family_of(sample: &Sample) -> (String, String) {
    let (scope, rest) = sample.name.split_once('.').unwrap_or(("", &sample.name));
    if let Some((middle, leaf)) = rest.split_once(".rbac.") {
        return policy_family(scope, middle, leaf);
    }
    let mut labels = Vec::new();
    let (stem, answers) = without_answer(rest);
    labels.extend(answers);
    let stem = match scope {
        "cluster" => {
            let group = CLUSTER_GROUPS.iter().find_map(|(group, dots)| {
                let at = stem.rfind(group)?;
                (stem[at + group.len()..].matches('.').count() == *dots).then_some(at)
            });
            let (name, leaf) = stem.split_at(group.or_else(|| stem.rfind('.')).unwrap_or(0));
            labels.push(format!("cluster_name=\"{}\"", escape(name)));
            leaf.trim_start_matches('.')
        }
        "listener" => {
            let end = stem.find(|c: char| !c.is_ascii_digit() && !"._[]".contains(c)).unwrap_or(0);
            let (address, leaf) = stem.split_at(end);
            if !address.is_empty() {
                labels.push(format!("listener_address=\"{}\"", address.trim_end_matches('.')));
            }
            leaf
        }
        _ => stem,
    };
    (format!("envoy_{}", flat(&format!("{scope}.{stem}"))), labels.join(","))
}

/// `…_rq_2xx` and `…_rq_503` without the end, which is a label.
fn without_answer(name: &str) -> (&str, Option<String>) {
    let found = name.rsplit_once('_').filter(|(stem, end)| stem.ends_with("_rq") && end.len() == 3);
    match found {
        Some((stem, end)) if end.ends_with("xx") => (stem, Some(format!("response_code_class=\"{end}\""))),
        Some((stem, end)) if end.bytes().all(|it| it.is_ascii_digit()) => {
            (stem, Some(format!("response_code=\"{end}\"")))
        }
        _ => (name, None),
    }
}

/// Signs that names of metrics may not have become `_`.
fn flat(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_of_policies_have_the_names_that_istios_pages_ask_for() {
        let registry = Registry::default();
        registry.http("inbound_0.0.0.0_8080;").rbac_denied.add(2);
        registry.counter("http.inbound_0.0.0.0_8080.rbac.istio_dry_run_deny_.shadow_denied").add(3);
        let text = registry.render_prometheus();
        for line in [
            "envoy_http_inbound_0_0_0_0_8080_rbac{authz_enforce_result=\"denied\"} 2",
            "envoy_http_inbound_0_0_0_0_8080_rbac{authz_dry_run_action=\"deny\",authz_dry_run_result=\"denied\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn names_have_the_tags_of_istios_bootstrap() {
        let registry = Registry::default();
        for name in [
            "cluster.outbound|80||a.ssl.example.com.upstream_rq_2xx",
            "cluster.outbound|80||a.ssl.example.com.upstream_rq_503",
            "cluster.outbound|80||a.default.svc.cluster.local.circuit_breakers.default.cx_open",
            "cluster.xds-grpc.upstream_cx_total",
            "listener.0.0.0.0_15006.downstream_cx_total",
            "listener.0.0.0.0_15006.ssl.handshake",
            "listener_manager.listener_added",
            "http.outbound_0.0.0.0_9080.downstream_rq_total",
        ] {
            registry.counter(name).add(1);
        }
        let text = registry.render_prometheus();
        for line in [
            "envoy_cluster_upstream_rq{response_code_class=\"2xx\",cluster_name=\"outbound|80||a.ssl.example.com\"} 1",
            "envoy_cluster_upstream_rq{response_code=\"503\",cluster_name=\"outbound|80||a.ssl.example.com\"} 1",
            "envoy_cluster_circuit_breakers_default_cx_open{cluster_name=\"outbound|80||a.default.svc.cluster.local\"} 1",
            "envoy_cluster_upstream_cx_total{cluster_name=\"xds-grpc\"} 1",
            "envoy_listener_downstream_cx_total{listener_address=\"0.0.0.0_15006\"} 1",
            "envoy_listener_ssl_handshake{listener_address=\"0.0.0.0_15006\"} 1",
            "envoy_listener_manager_listener_added{} 1",
            "envoy_http_outbound_0_0_0_0_9080_downstream_rq_total{} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
