//! Commands of kubectl that this one does not have: each says what does the same.

use std::ffi::OsString;

use clap::Args;

use super::session::error;
use crate::exit::Outcome;

#[derive(Debug, Args)]
pub(super) struct Absent {
    /// Whatever the real command takes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

impl Absent {
    /// Refuses a command.
    pub(super) fn refuse(&self, name: &str, instead: &str) -> Outcome {
        let _whatever = &self.arguments;
        let failure = error(format!("sagene kubectl has no {name}"));
        let kubeconfig =
            "the real kubectl has it; sagene cluster status names the kubeconfig of the embedded cluster";
        let failure = if instead.is_empty() { failure } else { failure.hint(instead) };
        Err(failure.hint(kubeconfig))
    }
}
