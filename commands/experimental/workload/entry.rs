//! `workload entry configure`: the files with which the proxy of a workload outside the cluster joins the mesh.

mod cluster_env;
mod credentials;
mod hosts;
mod mesh_yaml;
mod source;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use sagene_api::Object;
use sagene_api::istio::networking::WorkloadGroup;
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Objects, Resource, server_failure, text};
use crate::output;

/// What a sidecar calls its cluster where the installation names none.
const CLUSTER: &str = "Kubernetes";

#[derive(Debug, Args)]
pub(super) struct Configure {
    /// Manifest of the WorkloadGroup, or - for stdin
    #[arg(short, long = "file", value_name = "FILE", conflicts_with = "name")]
    filename: Option<String>,
    /// Name of a WorkloadGroup of the cluster, in the namespace of --namespace
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// Folder to write to; required, and made if it does not exist
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Name of the cluster that the workload belongs to; the installation's unless given
    #[arg(long = "clusterID", value_name = "NAME")]
    cluster_id: Option<String>,
    /// How long the token is good, in seconds
    #[arg(long = "tokenDuration", value_name = "SECONDS", default_value_t = 3600)]
    token_duration: u64,
    /// Service through which the control plane is reached, with .NAMESPACE behind it if that is not the control plane's
    #[arg(long = "ingressService", value_name = "NAME", default_value = "istio-eastwestgateway")]
    ingress_service: String,
    /// Address at which the control plane is reached; that of the Service unless given
    #[arg(long = "ingressIP", value_name = "ADDRESS")]
    ingress_ip: Option<IpAddr>,
    /// Let the control plane make the WorkloadEntry when the workload connects
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    autoregister: bool,
    /// Let the proxy answer DNS queries of the workload
    #[arg(long = "capture-dns", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true")]
    capture_dns: bool,
    /// Address of the workload within its network
    #[arg(long = "internalIP", value_name = "ADDRESS", conflicts_with = "external_ip")]
    internal_ip: Option<IpAddr>,
    /// Address of the workload as others see it
    #[arg(long = "externalIP", value_name = "ADDRESS")]
    external_ip: Option<IpAddr>,
    /// Control plane revision
    #[arg(short, long, default_value = "")]
    revision: String,
}

/// The installation that the workload joins.
struct Installation {
    objects: Objects,
    /// Namespace of the control plane.
    namespace: String,
    /// Empty for the default one.
    revision: String,
}

impl Configure {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let named = context.globals.namespace.clone().unwrap_or_default();
        if self.filename.is_none() && (self.name.is_empty() || named.is_empty()) {
            return Err(Failure::new(
                "expecting a WorkloadGroup artifact file or the name and namespace of an existing WorkloadGroup",
            )
            .hint("--file FILE, or --name NAME --namespace NAME"));
        }
        let Some(folder) = &self.output else {
            return Err(Failure::new("expecting an output directory").hint("--output FOLDER"));
        };
        let installation = Installation {
            objects: Objects::new(context.cluster().await?.client),
            namespace: context.globals.istio_namespace.clone(),
            revision: if self.revision == "default" { String::new() } else { self.revision.clone() },
        };
        let group = match &self.filename {
            Some(file) => source::of_file(file, context.globals.namespace.as_deref())?,
            None => source::of_cluster(&installation.objects, &named, &self.name).await?,
        };
        self.write(&installation, &group, folder).await?;
        output::line(&format!("Configuration generation into directory {} was successful", folder.display()));
        Ok(Exit::Success)
    }

    /// Asks for everything first, so that a refusal leaves no half of the files.
    async fn write(
        &self,
        installation: &Installation,
        group: &Object<WorkloadGroup>,
        folder: &Path,
    ) -> Result<(), Failure> {
        let cluster = match &self.cluster_id {
            Some(name) => name.clone(),
            None => installation.cluster().await?,
        };
        let mesh = installation.config_map("istio").await?;
        let wishes =
            mesh_yaml::Wishes { cluster, capture_dns: self.capture_dns, autoregister: self.autoregister };
        let proxy_config = mesh_yaml::proxy_config(text(&mesh, "/data/mesh"), group, installation, &wishes)?;
        let address = match (self.internal_ip, self.external_ip) {
            (Some(ip), _) => cluster_env::Address::Internal(ip),
            (None, Some(ip)) => cluster_env::Address::External(ip),
            (None, None) => cluster_env::Address::Unknown,
        };
        let variables = cluster_env::lines(group, &proxy_config, installation, address);
        let root = credentials::root(&installation.objects, group).await?;
        let token = credentials::token(&installation.objects, group, self.token_duration).await?;
        let hosts = hosts::lines(installation, self.ingress_ip, &self.ingress_service).await?;

        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mesh_yaml = sagene_api::yaml::to_text(&serde_json::json!({"defaultConfig": proxy_config}))?;
        for (name, content) in [
            ("cluster.env", &variables),
            ("mesh.yaml", &mesh_yaml),
            ("root-cert.pem", &root),
            ("hosts", &hosts),
        ] {
            put(&folder.join(name), content, 0o644)?;
        }
        let token_file = folder.join("istio-token");
        put(&token_file, &token, 0o600)?;
        output::progress(&format!(
            "Warning: a security token for namespace \"{}\" and service account \"{}\" has been generated and stored at \"{}\"",
            group.metadata.namespace,
            source::service_account(group),
            token_file.display()
        ));
        if self.autoregister {
            output::progress(
                "Note: Sagene's control plane makes no WorkloadEntries by itself yet: apply one with the workload's address",
            );
        }
        Ok(())
    }
}

impl Installation {
    /// `istio` and its like, with the revision's suffix.
    async fn config_map(&self, name: &str) -> Result<Value, Failure> {
        let name = self.revisioned(name);
        let resource = Resource::known("", "v1", "ConfigMap", "configmaps", true);
        let found =
            self.objects.get(&resource, Some(&self.namespace), &name).await.map_err(server_failure)?;
        found.ok_or_else(|| {
            Failure::new(format!("ConfigMap {name} not found in namespace {}", self.namespace))
                .hint("sagene install makes it; --istioNamespace and --revision choose another control plane")
        })
    }

    /// What the injector calls the cluster.
    async fn cluster(&self) -> Result<String, Failure> {
        let injector = self.config_map("istio-sidecar-injector").await?;
        let values: Value = serde_json::from_str(text(&injector, "/data/values")).map_err(|error| {
            Failure::from(error)
                .context("failed to automatically determine the --clusterID: values of ConfigMap istio-sidecar-injector")
        })?;
        let name = text(&values, "/global/multiCluster/clusterName");
        Ok(if name.is_empty() { CLUSTER.to_owned() } else { name.to_owned() })
    }

    fn revisioned(&self, name: &str) -> String {
        if self.revision.is_empty() { name.to_owned() } else { format!("{name}-{}", self.revision) }
    }

    /// Host of the control plane's Service.
    fn host(&self) -> String {
        format!("{}.{}.svc", self.revisioned("istiod"), self.namespace)
    }
}

/// Writes a file that others than its owner read only where `mode` says so, also if it was there before.
fn put(path: &Path, content: &str, mode: u32) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(path).with_context(|| format!("cannot write {}", path.display()))?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
        .and_then(|()| file.write_all(content.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
