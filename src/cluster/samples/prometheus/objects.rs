//! What the cluster has, asked with the pod's own service account.

use std::collections::BTreeMap;

use reqwest::{Certificate, Client};
use serde_json::Value;

use super::configuration::{Discovery, Role};
use super::targets::{self, Related};

/// Where a pod finds its service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A connection to the API server.
pub(super) struct Objects {
    client: Client,
    server: String,
}

impl Objects {
    pub(super) fn connect() -> Result<Self, String> {
        let variable =
            |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set: this is no pod"));
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let path = format!("{ACCOUNT}/ca.crt");
        let authority = std::fs::read(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let authority = Certificate::from_pem(&authority).map_err(|error| format!("{path}: {error}"))?;
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, server: format!("https://{host}:{port}") })
    }

    /// Groups of targets, as `file_sd_configs` take them.
    pub(super) async fn groups(&self, discovery: &Discovery) -> Result<Vec<Value>, String> {
        let mut namespaces = discovery.namespaces.clone();
        if discovery.own_namespace {
            namespaces.push(read("namespace")?);
        }
        let scopes = if namespaces.is_empty() { vec![String::new()] } else { namespaces };
        let mut groups = Vec::new();
        for namespace in &scopes {
            groups.extend(match discovery.role {
                Role::Node => targets::nodes(&self.list("/api/v1", "", "nodes").await?),
                Role::Pod => targets::pods(&self.list("/api/v1", namespace, "pods").await?),
                Role::Service => targets::services(&self.list("/api/v1", namespace, "services").await?),
                Role::Endpoints => {
                    let listed = self.list("/api/v1", namespace, "endpoints").await?;
                    targets::endpoints(&listed, &self.related(namespace).await?)
                }
                Role::EndpointSlice => {
                    let listed = self.list("/apis/discovery.k8s.io/v1", namespace, "endpointslices").await?;
                    targets::slices(&listed, &self.related(namespace).await?)
                }
            });
        }
        Ok(groups)
    }

    /// Services and pods by namespace and name.
    async fn related(&self, namespace: &str) -> Result<Related, String> {
        let keyed = |listed: Vec<Value>| -> BTreeMap<(String, String), Value> {
            listed.into_iter().map(|object| (targets::key(&object), object)).collect()
        };
        Ok(Related {
            services: keyed(self.list("/api/v1", namespace, "services").await?),
            pods: keyed(self.list("/api/v1", namespace, "pods").await?),
        })
    }

    async fn list(&self, group: &str, namespace: &str, kind: &str) -> Result<Vec<Value>, String> {
        let scope = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        let url = format!("{}{group}{scope}/{kind}", self.server);
        // Tokens are renewed while this runs.
        let answer = self.client.get(&url).bearer_auth(read("token")?).send().await;
        let answer =
            answer.and_then(reqwest::Response::error_for_status).map_err(|error| format!("{error:#}"))?;
        let mut list: Value = answer.json().await.map_err(|error| format!("{url}: {error}"))?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }
}

fn read(name: &str) -> Result<String, String> {
    let path = format!("{ACCOUNT}/{name}");
    std::fs::read_to_string(&path)
        .map(|text| text.trim().to_owned())
        .map_err(|error| format!("cannot read {path}: {error}"))
}
