//! `proxy-config`: what a proxy really runs, from its admin interface or from a saved dump.

mod bootstrap;
pub(crate) mod cluster;
pub(crate) mod dump;
mod ecds;
mod eds;
mod endpoint;
mod everything;
pub(crate) mod listener;
mod log;
mod rootca_compare;
pub(crate) mod route;
mod secret;
pub(crate) mod source;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, View};

#[derive(Debug, Args)]
pub(crate) struct ProxyConfigCommand {
    /// Format: short, json, yaml
    #[arg(short, long, global = true, value_name = "FORMAT")]
    output: Option<View>,
    /// Port of the proxy's admin interface
    #[arg(long, global = true, value_name = "PORT", default_value_t = 15000, value_parser = clap::value_parser!(u16).range(1..))]
    proxy_admin_port: u16,
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Everything a proxy has
    #[command(alias = "a")]
    All(everything::All),
    /// What the proxy started with
    #[command(alias = "b")]
    Bootstrap(bootstrap::Bootstrap),
    /// Clusters: the upstreams
    #[command(aliases = ["clusters", "c"])]
    Cluster(cluster::Cluster),
    /// Extension configurations
    #[command(alias = "ec")]
    Ecds(ecds::Ecds),
    /// Endpoint assignments of the dump
    #[command(hide = true)]
    Eds(eds::Eds),
    /// Endpoints with their health
    #[command(aliases = ["endpoints", "ep"])]
    Endpoint(endpoint::Endpoint),
    /// Listeners with their filter chains
    #[command(aliases = ["listeners", "l"])]
    Listener(listener::Listener),
    /// Show or set log levels
    #[command(alias = "o")]
    Log(log::Log),
    /// Compare the root certificates of two pods
    #[command(alias = "rc")]
    RootcaCompare(rootca_compare::RootCaCompare),
    /// Routes
    #[command(aliases = ["routes", "r"])]
    Route(route::Route),
    /// Certificates
    #[command(aliases = ["secrets", "s"])]
    Secret(secret::Secret),
}

/// Where to ask and how to print.
pub(crate) struct Ask<'a> {
    pub(crate) context: &'a Context,
    pub(crate) port: u16,
    pub(crate) view: Option<View>,
}

impl ProxyConfigCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let ask = Ask { context, port: self.proxy_admin_port, view: self.output };
        crate::runtime::block_on(async {
            match self.command {
                Subcommands::All(command) => command.run(&ask).await,
                Subcommands::Bootstrap(command) => command.run(&ask).await,
                Subcommands::Cluster(command) => command.run(&ask).await,
                Subcommands::Ecds(command) => command.run(&ask).await,
                Subcommands::Eds(command) => command.run(&ask).await,
                Subcommands::Endpoint(command) => command.run(&ask).await,
                Subcommands::Listener(command) => command.run(&ask).await,
                Subcommands::Log(command) => command.run(&ask).await,
                Subcommands::RootcaCompare(command) => command.run(&ask).await,
                Subcommands::Route(command) => command.run(&ask).await,
                Subcommands::Secret(command) => command.run(&ask).await,
            }
        })
    }
}

impl Ask<'_> {
    /// Prints a table, or the same resources in full.
    fn print(&self, table: impl FnOnce() -> Result<String, Failure>, resources: &Value) -> Outcome {
        match self.view.unwrap_or(View::Short) {
            View::Short => output::data(&table()?),
            View::Json => output::data(&output::to_json(&dump::camel_case(resources))?),
            View::Yaml => output::data(&output::to_yaml(&dump::camel_case(resources))?),
        }
        Ok(Exit::Success)
    }
}
