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

/// Family name and label: the middle of Envoy's dotted name becomes a label, as Envoy's tag extraction does.
fn family_of(sample: &Sample) -> (String, String) {
    let (scope, rest) = sample.name.split_once('.').unwrap_or(("", &sample.name));
    let (middle, leaf) = match rest.split_once(".rbac.") {
        Some((middle, leaf)) => (middle, format!("rbac_{leaf}")),
        None => {
            rest.rsplit_once('.').map_or(("", rest.to_owned()), |(middle, leaf)| (middle, leaf.to_owned()))
        }
    };
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
