//! `kubectl expose`: a Service in front of what runs.

use clap::Args;
use serde_json::{Map, Value, json};

use super::create::Making;
use super::session::{Session, error};
use super::target::{self, Found, Selection};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, text};

#[derive(Debug, Args)]
pub(super) struct Expose {
    /// Type/name, or type and name, of a workload, a pod or a Service
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    /// Manifests that name the objects
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<String>,
    /// Port of the Service; without it the ports of the containers
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Number or name of the pods' port; default the same as --port
    #[arg(long, value_name = "PORT")]
    target_port: Option<String>,
    /// TCP, UDP, SCTP
    #[arg(long, default_value = "TCP", value_parser = ["TCP", "UDP", "SCTP"])]
    protocol: String,
    /// Name of the Service; default that of what is exposed
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// ClusterIP, NodePort, LoadBalancer
    #[arg(long = "type", value_name = "TYPE", value_parser = ["ClusterIP", "NodePort", "LoadBalancer"])]
    kind: Option<String>,
    /// Labels of the Service, by comma; default those of what is exposed
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ',')]
    labels: Vec<String>,
    /// Which pods, by comma; default those of what is exposed
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    selector: Vec<String>,
    /// Address of the Service; None for a headless one
    #[arg(long, value_name = "IP")]
    cluster_ip: Option<String>,
    #[command(flatten)]
    making: Making,
}

impl Expose {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let selection = Selection { filename: self.filename.clone(), ..Selection::default() };
        for found in target::find(session, &self.arguments, &selection, false).await? {
            let service = self.service(&found)?;
            self.making.create(session, &Resource::services(), service, "exposed").await?;
        }
        Ok(Exit::Success)
    }

    fn service(&self, found: &Found) -> Result<Value, Failure> {
        let name = self.name.as_deref().unwrap_or(found.name());
        let ports = self.ports(found)?;
        let labels = match self.labels.as_slice() {
            [] => found.object.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({})),
            given => pairs(given)?,
        };
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "labels": labels},
            "spec": {"selector": self.selector(found)?, "ports": ports},
        });
        if let Some(kind) = &self.kind {
            service["spec"]["type"] = json!(kind);
        }
        if let Some(address) = &self.cluster_ip {
            service["spec"]["clusterIP"] = json!(address);
        }
        Ok(service)
    }

    fn selector(&self, found: &Found) -> Result<Value, Failure> {
        if !self.selector.is_empty() {
            return pairs(&self.selector);
        }
        let object = &found.object;
        let selector = match found.resource.kind.as_str() {
            "Pod" => object.pointer("/metadata/labels"),
            "Service" | "ReplicationController" => object.pointer("/spec/selector"),
            "Deployment" | "ReplicaSet" | "StatefulSet" => object.pointer("/spec/selector/matchLabels"),
            kind => return Err(error(format!("cannot expose a {kind}"))),
        };
        selector.filter(|it| it.as_object().is_some_and(|it| !it.is_empty())).cloned().ok_or_else(|| {
            error(format!(
                "couldn't retrieve selectors via --selector flag or introspection: {} has no labels",
                found.title()
            ))
        })
    }

    fn ports(&self, found: &Found) -> Result<Vec<Value>, Failure> {
        let target = |port: u16| match &self.target_port {
            None => json!(port),
            Some(target) => target.parse::<u16>().map_or_else(|_| json!(target), |number| json!(number)),
        };
        if let Some(port) = self.port {
            return Ok(vec![json!({"port": port, "protocol": self.protocol, "targetPort": target(port)})]);
        }
        let containers = ["/spec/template/spec/containers", "/spec/containers"];
        let containers = containers.iter().find_map(|pointer| found.object.pointer(pointer)?.as_array());
        let own: Vec<(u16, &str)> = containers
            .into_iter()
            .flatten()
            .filter_map(|container| container["ports"].as_array())
            .flatten()
            .filter_map(|port| {
                Some((u16::try_from(port["containerPort"].as_u64()?).ok()?, text(port, "/protocol")))
            })
            .collect();
        if own.is_empty() {
            return Err(error("couldn't find port via --port flag or introspection"));
        }
        let several = own.len() > 1;
        let port = |(index, (port, protocol)): (usize, (u16, &str))| {
            let protocol = if protocol.is_empty() { "TCP" } else { protocol };
            let mut made = json!({"port": port, "protocol": protocol, "targetPort": target(port)});
            if several {
                made["name"] = json!(format!("port-{}", index + 1));
            }
            made
        };
        Ok(own.into_iter().enumerate().map(port).collect())
    }
}

/// `a=b` as fields of an object.
pub(super) fn pairs(texts: &[String]) -> Result<Value, Failure> {
    let pair = |text: &String| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        pair.map(|(name, value)| (name.to_owned(), json!(value)))
            .ok_or_else(|| error(format!("unexpected pair {text:?}: write NAME=VALUE")))
    };
    Ok(Value::Object(texts.iter().map(pair).collect::<Result<Map<_, _>, _>>()?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        expose: Expose,
    }

    #[test]
    fn a_workload_gets_a_service_for_its_pods() {
        let resource = Resource::known("apps", "v1", "Deployment", "deployments", true);
        let object = json!({"metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"ports": [{"containerPort": 8080}, {"containerPort": 8081}]}]}}}});
        let found = Found { resource, object };
        let made = |flags: &[&str]| {
            let line = Line::parse_from(["expose", "deploy/web"].iter().chain(flags));
            line.expose.service(&found).expect("a service")
        };
        let service = made(&["--port=80", "--target-port=http", "--name=front", "--type=NodePort"]);
        assert_eq!(service["metadata"], json!({"name": "front", "labels": {"a": "b"}}));
        assert_eq!(service["spec"]["ports"], json!([{"port": 80, "protocol": "TCP", "targetPort": "http"}]));
        assert_eq!(
            (&service["spec"]["selector"], &service["spec"]["type"]),
            (&json!({"app": "web"}), &json!("NodePort"))
        );
        assert_eq!(
            made(&[])["spec"]["ports"][1],
            json!({"name": "port-2", "port": 8081, "protocol": "TCP", "targetPort": 8081})
        );
    }
}
