//! The flags of `sagene proxy sidecar|router`, which are those of `pilot-agent proxy`.

use std::path::PathBuf;

/// What kind of proxy this is; the first part of the node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeType {
    /// Beside one application.
    Sidecar,
    /// A gateway.
    Router,
}

impl NodeType {
    /// The word of the node id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Router => "router",
        }
    }
}

/// Flags of `sagene proxy sidecar|router`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_override_self = true)]
pub struct AgentArguments {
    /// DNS domain of the proxy: `<namespace>.svc.<cluster domain>`; derived from POD_NAMESPACE when not given
    #[arg(long, default_value = "")]
    pub domain: String,
    /// File with the mesh configuration; its absence is no error
    #[arg(long = "meshConfig", default_value = "./etc/istio/config/mesh")]
    pub mesh_config: PathBuf,
    /// Level of the proxy's log: trace, debug, info, warning, error, critical, off
    #[arg(long = "proxyLogLevel", default_value = "warning,misc:error")]
    pub proxy_log_level: String,
    /// Levels of single components: `misc:error,upstream:debug`
    #[arg(long = "proxyComponentLogLevel", default_value = "")]
    pub proxy_component_log_level: String,
    /// Traffic threads; from PROXY_CONFIG or the CPU limit when not given, one per core when 0
    #[arg(long)]
    pub concurrency: Option<usize>,
    /// Service cluster of the node; `<app>.<namespace>` when not given
    #[arg(long = "serviceCluster", default_value = "")]
    pub service_cluster: String,
    /// Levels of the agent's log: `default:info` or `info`
    #[arg(long = "log_output_level", default_value = "default:info")]
    pub log_output_level: String,
    /// Write the log as JSON
    #[arg(long = "log_as_json", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub log_as_json: bool,
}
