//! `metrics`: request rates and latencies of workloads, as the cluster's Prometheus knows them.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli;
use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{PodName, http_get, pods_selected, with_query};
use crate::output;

/// Port of Prometheus.
const PORT: u16 = 9090;
/// How Prometheus's pods are labelled by its chart, and by Istio's older addon.
const LABELS: [&str; 2] = ["app.kubernetes.io/name=prometheus", "app=prometheus"];

#[derive(Debug, Args)]
pub(super) struct Metrics {
    /// Workloads: name[.namespace]
    #[arg(value_name = "WORKLOAD[.NAMESPACE]", required = true)]
    workloads: Vec<String>,
    /// Over how long rates are taken
    #[arg(short, long, value_name = "DURATION", default_value = "1m", value_parser = cli::duration)]
    duration: Duration,
}

/// Figures of a workload; what Prometheus does not know is nothing.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    total: f64,
    errors: f64,
    /// Seconds at the 50th, 90th and 99th percentile.
    latencies: [f64; 3],
}

impl Metrics {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let cluster = context.cluster().await?;
        let namespace = context.namespace(&cluster);
        let prometheus = prometheus(context, &cluster).await?;
        let mut rows = String::new();
        for workload in &self.workloads {
            let (name, namespace) = workload.rsplit_once('.').unwrap_or((workload, &namespace));
            let figures = self.figures(&cluster, &prometheus, name, namespace).await?;
            rows.push_str(&row(&format!("{name}.{namespace}"), &figures));
        }
        output::data(&format!("{}{rows}", header()));
        Ok(Exit::Success)
    }

    async fn figures(
        &self,
        cluster: &Cluster,
        prometheus: &PodName,
        name: &str,
        namespace: &str,
    ) -> Result<Figures, Failure> {
        let window = self.duration.as_secs().max(1);
        let labels = format!(
            "destination_workload=\"{name}\",destination_workload_namespace=\"{namespace}\",reporter=\"destination\""
        );
        let rate = |labels: &str| format!("sum(rate(istio_requests_total{{{labels}}}[{window}s]))");
        let mut figures = Figures {
            total: ask(cluster, prometheus, &rate(&labels)).await?,
            errors: ask(cluster, prometheus, &rate(&format!("{labels},response_code=~\"[45][0-9]{{2}}\"")))
                .await?,
            ..Figures::default()
        };
        for (place, quantile) in ["0.5", "0.9", "0.99"].iter().enumerate() {
            let buckets = format!("rate(istio_request_duration_milliseconds_bucket{{{labels}}}[{window}s])");
            let query = format!("histogram_quantile({quantile}, sum({buckets}) by (le))");
            figures.latencies[place] = ask(cluster, prometheus, &query).await? / 1000.0;
        }
        Ok(figures)
    }
}

async fn prometheus(context: &Context, cluster: &Cluster) -> Result<PodName, Failure> {
    for labels in LABELS {
        let found = pods_selected(cluster, labels, &context.globals.istio_namespace).await;
        if let Some(pod) = found.ok().and_then(|pods| pods.into_iter().next()) {
            return Ok(pod);
        }
    }
    Err(Failure::new(format!("no Prometheus pods found in namespace {}", context.globals.istio_namespace))
        .hint("sagene dashboard prometheus shows the metrics of the console where there is no Prometheus")
        .hint("docs/guides/prometheus.md says how to run one"))
}

/// The one value of a query; none and `NaN` are 0.
async fn ask(cluster: &Cluster, prometheus: &PodName, query: &str) -> Result<f64, Failure> {
    let path = with_query("/api/v1/query".to_owned(), &[("query", query)]);
    let body = http_get(&cluster.client, &prometheus.namespace, &prometheus.name, PORT, &path).await?;
    let answer: Value = serde_json::from_str(&body)?;
    Ok(value(&answer))
}

fn value(answer: &Value) -> f64 {
    let text = answer.pointer("/data/result/0/value/1").and_then(Value::as_str);
    text.and_then(|text| text.parse::<f64>().ok()).filter(|value| value.is_finite()).unwrap_or(0.0)
}

fn header() -> String {
    line(
        ["WORKLOAD", "TOTAL RPS", "ERROR RPS", "P50 LATENCY", "P90 LATENCY", "P99 LATENCY"]
            .map(str::to_owned),
    )
}

fn row(workload: &str, figures: &Figures) -> String {
    let [p50, p90, p99] = figures.latencies.map(|seconds| format!("{:?}", milliseconds(seconds)));
    let [total, errors] = [figures.total, figures.errors].map(|rate| format!("{rate:.3}"));
    line([workload.to_owned(), total, errors, p50, p90, p99])
}

/// Whole milliseconds.
fn milliseconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64((seconds * 1000.0).round() / 1000.0).unwrap_or_default()
}

fn line(cells: [String; 6]) -> String {
    let [workload, total, errors, p50, p90, p99] = cells;
    format!("{workload:>40}{total:>14}{errors:>14}{p50:>14}{p90:>14}{p99:>14}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_lined_up() {
        let figures = Figures { total: 1.5, errors: 0.25, latencies: [0.0031, 0.01, 0.0249] };
        let (header, row) = (header(), row("reviews-v1.default", &figures));
        assert_eq!(header.len(), row.len());
        assert!(row.ends_with("1.500         0.250           3ms          10ms          25ms\n"), "{row}");
        let answer = |text: &str| json!({"data": {"result": [{"value": [1.5, text]}]}});
        assert_eq!((value(&answer("2.5")), value(&answer("NaN")), value(&json!({}))), (2.5, 0.0, 0.0));
    }
}
