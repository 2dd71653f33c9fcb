//! `kubectl create deployment` and `create service`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::super::session::error;
use crate::exit::Failure;

#[derive(Debug, Args)]
pub(super) struct Images {
    /// Image of a container; may be repeated
    #[arg(long, value_name = "IMAGE", required = true, value_delimiter = ',')]
    image: Vec<String>,
    /// Number of replicas
    #[arg(short, long, value_name = "COUNT", default_value_t = 1)]
    replicas: u32,
    /// Port that the containers listen on
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Command of the container, after --
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Images {
    /// The object, without its namespace.
    pub(super) fn object(&self, name: &str) -> Result<Value, Failure> {
        if self.image.len() > 1 && !self.command.is_empty() {
            return Err(error("cannot specify multiple --image options and command"));
        }
        let containers = self.image.iter().map(|image| {
            let mut container = json!({"name": name_of(image), "image": image, "resources": {}});
            if let Some(port) = self.port {
                container["ports"] = json!([{"containerPort": port}]);
            }
            if !self.command.is_empty() {
                container["command"] = json!(self.command);
            }
            container
        });
        let labels = json!({"app": name});
        Ok(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": containers.collect::<Vec<_>>()},
                },
            },
        }))
    }
}

/// `docker.io/kennethreitz/httpbin:latest` → `httpbin`.
fn name_of(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split(['@', ':']).next().unwrap_or(last)
}

#[derive(Debug, Subcommand)]
pub(super) enum Service {
    /// With an address inside the cluster
    Clusterip(Ports),
    /// With a port on every node
    Nodeport(Ports),
    /// With an address outside
    Loadbalancer(Ports),
    /// A name for a host elsewhere
    Externalname {
        /// Its name
        name: String,
        /// The host it stands for
        #[arg(long, value_name = "HOST")]
        external_name: String,
        #[command(flatten)]
        making: super::Making,
    },
}

#[derive(Debug, Args)]
pub(super) struct Ports {
    /// Its name
    pub(super) name: String,
    /// PORT, or PORT:TARGET where the pods listen on another; may be repeated
    #[arg(long, value_name = "PORT[:TARGET]", value_delimiter = ',')]
    tcp: Vec<String>,
    #[command(flatten)]
    pub(super) making: super::Making,
}

impl Service {
    /// How it is made.
    pub(super) const fn making(&self) -> &super::Making {
        match self {
            Self::Clusterip(ports) | Self::Nodeport(ports) | Self::Loadbalancer(ports) => &ports.making,
            Self::Externalname { making, .. } => making,
        }
    }

    /// The object, without its namespace.
    pub(super) fn object(&self) -> Result<Value, Failure> {
        let (kind, ports) = match self {
            Self::Clusterip(ports) => ("ClusterIP", ports),
            Self::Nodeport(ports) => ("NodePort", ports),
            Self::Loadbalancer(ports) => ("LoadBalancer", ports),
            Self::Externalname { name, external_name, .. } => {
                return Ok(service(name, json!({"type": "ExternalName", "externalName": external_name})));
            }
        };
        if ports.tcp.is_empty() {
            return Err(error("at least one tcp port must be specified, as in --tcp=80:8080"));
        }
        let declared = ports.tcp.iter().map(|text| port(text)).collect::<Result<Vec<_>, _>>()?;
        let spec = json!({"type": kind, "selector": {"app": ports.name}, "ports": declared});
        Ok(service(&ports.name, spec))
    }
}

fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
}

fn port(text: &str) -> Result<Value, Failure> {
    let (port, target) = text.split_once(':').unwrap_or((text, text));
    let number: u16 =
        port.parse().map_err(|_| error(format!("invalid port {text:?}: write PORT or PORT:TARGET")))?;
    let target = target.parse::<u16>().map_or_else(|_| json!(target), |number| json!(number));
    let name = text.replace(':', "-");
    Ok(json!({"name": name, "port": number, "protocol": "TCP", "targetPort": target}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports_are_as_kubectls() {
        assert_eq!(name_of("docker.io/istio/examples-helloworld-v1:1.0"), "examples-helloworld-v1");
        assert_eq!(
            port("80:http").expect("a port"),
            json!({"name": "80-http", "port": 80, "protocol": "TCP", "targetPort": "http"})
        );
        assert!(port("x").is_err());
    }
}
