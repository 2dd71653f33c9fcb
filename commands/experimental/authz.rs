//! `authz check`: which AuthorizationPolicies a proxy really enforces, by action.

pub(super) mod policies;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::output::{self, Table};
use crate::proxy_config::Ask;
use crate::proxy_config::source::DumpTarget;

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct AuthzCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// List the AuthorizationPolicies that a proxy has
    Check(Check),
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    target: DumpTarget,
    /// Port of the proxy's admin interface
    #[arg(long, value_name = "PORT", default_value_t = 15000, value_parser = clap::value_parser!(u16).range(1..))]
    proxy_admin_port: u16,
}

impl AuthzCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Subcommands::Check(check) = self.command;
        let ask = Ask { context, port: check.proxy_admin_port, view: None };
        let dump = check.target.dump(&ask, "").await?;
        let mut table = Table::new(["ACTION", "AuthorizationPolicy", "RULES"], 3);
        for policy in policies::of(&dump) {
            table.row([policy.action(), policy.name, policy.rules.to_string()]);
        }
        output::data(&table.render());
        Ok(Exit::Success)
    }
}
