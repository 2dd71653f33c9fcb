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
    let flat = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    (format!("envoy_{scope}_{}_rbac", middle.chars().map(flat).collect::<String>()), words)
}

/// Family name and label: the middle of Envoy's dotted name becomes a label, as Envoy's tag extraction does.
fn family_of(sample: &Sample) -> (String, String) {
    let (scope, rest) = sample.name.split_once('.').unwrap_or(("", &sample.name));
    if let Some((middle, leaf)) = rest.split_once(".rbac.") {
        return policy_family(scope, middle, leaf);
    }
    let (middle, leaf) = rest.rsplit_once('.').unwrap_or(("", rest));
    let tag = match scope {
        "cluster" => "envoy_cluster_name",
        "http" => "envoy_http_conn_manager_prefix",
        _ => "envoy_listener_address",
    };
    for class in ["2xx", "3xx", "4xx", "5xx"] {
        if let Some(stem) = leaf.strip_suffix(class) {
            let label = format!("{tag}=\"{}\",envoy_response_code_class=\"{}\"", escape(middle), &class[..1]);
            return (format!("envoy_{scope}_{stem}xx"), label);
        }
    }
    (format!("envoy_{scope}_{leaf}"), format!("{tag}=\"{}\"", escape(middle)))
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
}
