//! `kubectl top`: what pods and nodes use, where the cluster measures it.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::session::{Session, error};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{is_not_found, kubectl_failure, text, with_query};
use crate::output::{self, Table};

#[derive(Debug, Args)]
pub(super) struct Top {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Pods
    #[command(aliases = ["pods", "po"])]
    Pod(Scope),
    /// Nodes
    #[command(aliases = ["nodes", "no"])]
    Node(Scope),
}

#[derive(Debug, Args)]
struct Scope {
    /// One of them
    name: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Label selector
    #[arg(short = 'l', long, value_name = "SELECTOR", default_value = "")]
    selector: String,
    /// No header line
    #[arg(long)]
    no_headers: bool,
}

impl Top {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let (kind, scope) = match &self.what {
            What::Pod(scope) => ("pods", scope),
            What::Node(scope) => ("nodes", scope),
        };
        let place = match kind {
            "pods" if !scope.all_namespaces => format!("namespaces/{}/", session.namespace),
            _ => String::new(),
        };
        let path = format!("/apis/metrics.k8s.io/v1beta1/{place}{kind}");
        let path = match &scope.name {
            Some(name) => format!("{path}/{name}"),
            None => with_query(path, &[("labelSelector", &scope.selector)]),
        };
        // The whole API is asked for first: a pod that is missing is something else.
        let root = session.objects.get_path("/apis/metrics.k8s.io/v1beta1", None).await;
        if root.as_ref().is_err_and(is_not_found) {
            return Err(error("Metrics API not available")
                .hint("sagene dashboard prometheus shows what the mesh measures"));
        }
        let answer = session.objects.get_path(&path, None).await.map_err(kubectl_failure)?;
        let items = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![answer]);
        output::data(&table(&items, scope)?);
        Ok(Exit::Success)
    }
}

fn table(items: &[Value], scope: &Scope) -> Result<String, Failure> {
    let mut header = vec!["NAME", "CPU(cores)", "MEMORY(bytes)"];
    if scope.all_namespaces {
        header.insert(0, "NAMESPACE");
    }
    let mut table = Table::new(header, 3);
    for item in items {
        let (mut cores, mut bytes) = (0.0, 0.0);
        let containers = item["containers"].as_array().cloned().unwrap_or_else(|| vec![item.clone()]);
        for container in &containers {
            cores += quantity(text(container, "/usage/cpu"))?;
            bytes += quantity(text(container, "/usage/memory"))?;
        }
        let mut row = vec![
            text(item, "/metadata/name").to_owned(),
            format!("{:.0}m", (cores * 1000.0).ceil()),
            format!("{:.0}Mi", (bytes / 1_048_576.0).floor()),
        ];
        if scope.all_namespaces {
            row.insert(0, text(item, "/metadata/namespace").to_owned());
        }
        table.row(row);
    }
    Ok(if scope.no_headers { table.without_header().render() } else { table.render() })
}

/// A quantity of Kubernetes as a plain number.
fn quantity(text: &str) -> Result<f64, Failure> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        _ => return Err(error(format!("the quantity {text:?} is not understood"))),
    };
    let number: f64 =
        digits.parse().map_err(|_| error(format!("the quantity {text:?} is not understood")))?;
    Ok(number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn usage_is_summed_over_containers() {
        let usage = |cpu: &str, memory: &str| json!({"usage": {"cpu": cpu, "memory": memory}});
        let pod = json!({"metadata": {"name": "a"}, "containers": [usage("1500000n", "2Mi"), usage("3m", "1024Ki")]});
        let scope = Scope { name: None, all_namespaces: false, selector: String::new(), no_headers: true };
        assert_eq!(table(&[pod], &scope).expect("a table"), "a   5m   3Mi\n");
        assert!(quantity("3x").is_err());
    }
}
