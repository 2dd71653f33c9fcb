//! `kubectl top`: what pods and nodes use, where the cluster measures it.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::cordon;
use super::session::{Session, error};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{is_not_found, kubectl_failure, list, text, with_query};
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
    Pod(PodScope),
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

#[derive(Debug, Args)]
struct PodScope {
    #[command(flatten)]
    scope: Scope,
    /// A line for each container
    #[arg(long)]
    containers: bool,
}

impl Top {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let (kind, scope) = match &self.what {
            What::Pod(pods) => ("pods", &pods.scope),
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
        if items.is_empty() {
            return Err(error("metrics not available yet"));
        }
        output::data(&match &self.what {
            What::Pod(pods) => table(&items, scope, pods.containers)?,
            What::Node(_) => {
                let nodes = session.objects.list(&cordon::nodes(), None, &scope.selector).await;
                node_table(&items, &nodes.map_err(kubectl_failure)?, scope)?
            }
        });
        Ok(Exit::Success)
    }
}

fn table(items: &[Value], scope: &Scope, by_container: bool) -> Result<String, Failure> {
    let mut header = if by_container { vec!["POD", "NAME"] } else { vec!["NAME"] };
    header.extend(["CPU(cores)", "MEMORY(bytes)"]);
    if scope.all_namespaces {
        header.insert(0, "NAMESPACE");
    }
    let mut table = Table::new(header, 3);
    for item in items {
        let containers: Vec<&Value> = list(item, "/containers").collect();
        let parts = if by_container { containers.chunks(1).collect() } else { vec![containers.as_slice()] };
        for part in parts {
            let (mut cores, mut bytes) = (0.0, 0.0);
            for container in part {
                cores += quantity(text(container, "/usage/cpu"))?;
                bytes += quantity(text(container, "/usage/memory"))?;
            }
            let mut row = vec![text(item, "/metadata/name").to_owned()];
            if by_container {
                row.extend(part.iter().map(|container| text(container, "/name").to_owned()));
            }
            row.extend([millicores(cores), mebibytes(bytes)]);
            if scope.all_namespaces {
                row.insert(0, text(item, "/metadata/namespace").to_owned());
            }
            table.row(row);
        }
    }
    Ok(if scope.no_headers { table.without_header().render() } else { table.render() })
}

/// With the share of what the node has for pods.
fn node_table(items: &[Value], nodes: &[Value], scope: &Scope) -> Result<String, Failure> {
    let mut table = Table::new(["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"], 3);
    for item in items {
        let name = text(item, "/metadata/name");
        let node = nodes.iter().find(|node| text(node, "/metadata/name") == name);
        let used = |resource: &str| quantity(text(&item["usage"], resource));
        let share = |resource: &str, used: f64| {
            let all = node.map(|node| text(&node["status"]["allocatable"], resource));
            let all = all.and_then(|all| quantity(all).ok()).filter(|all| *all > 0.0);
            all.map_or_else(|| "<unknown>".to_owned(), |all| format!("{:.0}%", (used / all * 100.0).floor()))
        };
        let (cores, bytes) = (used("/cpu")?, used("/memory")?);
        table.row([
            name.to_owned(),
            millicores(cores),
            share("/cpu", cores),
            mebibytes(bytes),
            share("/memory", bytes),
        ]);
    }
    Ok(if scope.no_headers { table.without_header().render() } else { table.render() })
}

fn millicores(cores: f64) -> String {
    format!("{:.0}m", (cores * 1000.0).ceil())
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.0}Mi", (bytes / 1_048_576.0).floor())
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
        let usage = |name: &str, cpu: &str, memory: &str| json!({"name": name, "usage": {"cpu": cpu, "memory": memory}});
        let pod = json!({"metadata": {"name": "a"}, "containers": [usage("app", "1500000n", "2Mi"), usage("proxy", "3m", "1024Ki")]});
        let scope = Scope { name: None, all_namespaces: false, selector: String::new(), no_headers: true };
        assert_eq!(table(std::slice::from_ref(&pod), &scope, false).expect("a table"), "a   5m   3Mi\n");
        let each = table(&[pod], &scope, true).expect("a table");
        assert_eq!(each, "a   app     2m   2Mi\na   proxy   3m   1Mi\n");
        let node =
            json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "2", "memory": "4Mi"}}});
        let used = json!({"metadata": {"name": "n"}, "usage": {"cpu": "1", "memory": "1024Ki"}});
        assert_eq!(node_table(&[used], &[node], &scope).expect("a table"), "n   1000m   50%   1Mi   25%\n");
        assert!(quantity("3x").is_err());
    }
}
