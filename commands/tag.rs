//! `tag`: names for revisions, so that namespaces follow a name and an upgrade moves the name.

mod generate;
mod list;
mod remove;
mod revision;
mod set;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Outcome;
pub(crate) use revision::{Injector, followers, injectors, namespaces};

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct TagCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Make a revision tag, or with --overwrite move it
    Set(set::Set),
    /// Print the objects of a revision tag
    Generate(generate::Generate),
    /// List the revision tags
    #[command(alias = "show")]
    List(list::List),
    /// Remove a revision tag
    #[command(alias = "delete")]
    Remove(remove::Remove),
}

impl TagCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        crate::runtime::block_on(async {
            match self.command {
                Subcommands::Set(set) => set.run(context).await,
                Subcommands::Generate(generate) => generate.run(context).await,
                Subcommands::List(list) => list.run(context).await,
                Subcommands::Remove(remove) => remove.run(context).await,
            }
        })
    }
}
