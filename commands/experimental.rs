//! `experimental`: commands that istioctl has under this name, and the stable ones it repeats there.

mod authz;
mod check_inject;
mod describe;
mod envoy_stats;
mod injector;
mod internal_debug;
mod metrics;
mod precheck;
mod selector;
mod workload;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Outcome;
use crate::{proxy_status, version};

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct ExperimentalCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Show which authorization policies a proxy enforces
    Authz(authz::AuthzCommand),
    /// Say whether a pod is injected, by which webhook, and why or why not
    CheckInject(check_inject::CheckInject),
    /// Tell what applies to a pod or a Service, and what is wrong with it
    #[command(alias = "des")]
    Describe(describe::DescribeCommand),
    /// Show the statistics of proxies, or what they know of their clusters
    #[command(alias = "es")]
    EnvoyStats(envoy_stats::EnvoyStats),
    /// Show which namespaces are injected by which revision
    Injector(injector::InjectorCommand),
    /// Show the control plane's views of its own state
    InternalDebug(internal_debug::InternalDebug),
    /// Show request rates and latencies of workloads, as the cluster's Prometheus knows them
    #[command(alias = "m")]
    Metrics(metrics::Metrics),
    /// Check whether a cluster can be installed to or upgraded
    Precheck(precheck::Precheck),
    /// The same as proxy-status
    #[command(alias = "ps")]
    ProxyStatus(proxy_status::ProxyStatusCommand),
    /// The same as version
    Version(version::VersionCommand),
    /// Prepare workloads outside the cluster: group create, entry configure
    Workload(workload::WorkloadCommand),
}

impl ExperimentalCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.command {
            Subcommands::Authz(command) => crate::runtime::block_on(command.run(context)),
            Subcommands::CheckInject(command) => crate::runtime::block_on(command.run(context)),
            Subcommands::Describe(command) => crate::runtime::block_on(command.run(context)),
            Subcommands::EnvoyStats(command) => crate::runtime::block_on(command.run(context)),
            Subcommands::InternalDebug(command) => crate::runtime::block_on(command.run(context)),
            Subcommands::Metrics(command) => crate::runtime::block_on(command.run(context)),
            Subcommands::Injector(command) => crate::runtime::block_on(command.run(context)),
            Subcommands::Precheck(command) => crate::runtime::block_on(command.run(context)),
            Subcommands::ProxyStatus(command) => command.run(context),
            Subcommands::Version(command) => command.run(context),
            Subcommands::Workload(command) => command.run(context),
        }
    }
}
