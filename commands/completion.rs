//! `completion`: scripts for the shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::{Exit, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CompletionCommand {
    /// Shell to write the script for
    shell: Shell,
}

impl CompletionCommand {
    pub(crate) fn run(&self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "sagene", &mut script);
        output::data(&String::from_utf8(script)?);
        Ok(Exit::Success)
    }
}
