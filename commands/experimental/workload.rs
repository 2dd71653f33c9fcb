//! `workload`: what a workload outside the cluster, such as a virtual machine, needs to be part of the mesh.

mod entry;
mod group;
mod pair;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Outcome;

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct WorkloadCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// WorkloadGroups: what workloads of one kind have in common
    #[command(subcommand, arg_required_else_help = true)]
    Group(Group),
    /// Single workloads
    #[command(subcommand, arg_required_else_help = true)]
    Entry(Entry),
}

#[derive(Debug, Subcommand)]
enum Group {
    /// Print a WorkloadGroup
    Create(group::Create),
}

#[derive(Debug, Subcommand)]
enum Entry {
    /// Write the files with which the proxy of a workload joins the mesh: cluster.env, istio-token, mesh.yaml, root-cert.pem, hosts
    Configure(entry::Configure),
}

impl WorkloadCommand {
    pub(super) fn run(self, context: &Context) -> Outcome {
        match self.command {
            Subcommands::Group(Group::Create(create)) => create.run(context),
            Subcommands::Entry(Entry::Configure(configure)) => {
                crate::runtime::block_on(configure.run(context))
            }
        }
    }
}
