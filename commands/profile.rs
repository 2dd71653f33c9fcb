//! `profile list`, `profile dump` and `profile diff`: what the profiles set.

use clap::{Args, Subcommand};
use sagene_manifest::profile::{self, InstallRequest};
use serde_json::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::install::settings::Overlays;
use crate::output::{self, to_yaml};
use crate::unified_diff;

#[derive(Debug, Args)]
pub(crate) struct ProfileCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// List the profiles
    List,
    /// Print what a profile sets, with any files and settings over it
    Dump(Dump),
    /// Show how two profiles differ; exits with 1 when they do
    Diff(Diff),
}

#[derive(Debug, Args)]
struct Diff {
    /// Name of the first profile
    left: String,
    /// Name of the second profile
    right: String,
}

#[derive(Debug, Args)]
struct Dump {
    /// Name of the profile
    name: Option<String>,
    #[command(flatten)]
    overlays: Overlays,
}

impl ProfileCommand {
    pub(crate) fn run(self) -> Outcome {
        match self.command {
            Subcommands::List => {
                output::line("Sagene configuration profiles:");
                for name in profile::names() {
                    output::line(&format!("    {name}"));
                }
                Ok(Exit::Success)
            }
            Subcommands::Dump(dump) => dump.run(),
            Subcommands::Diff(diff) => diff.run(),
        }
    }
}

impl Diff {
    fn run(self) -> Outcome {
        let spec = |name: &str| -> Result<String, Failure> { to_yaml(&profile::profile(name)?) };
        let difference = unified(&self.left, &spec(&self.left)?, &self.right, &spec(&self.right)?);
        output::data(&difference);
        Ok(if difference.is_empty() { Exit::Success } else { Exit::Failure })
    }
}

/// A unified diff of two texts under their names; empty when they are equal.
pub(crate) fn unified(left_name: &str, left: &str, right_name: &str, right: &str) -> String {
    if left == right {
        return String::new();
    }
    unified_diff::between((left_name, left), (right_name, right), unified_diff::CONTEXT)
}

impl Dump {
    fn run(self) -> Outcome {
        let mut request: InstallRequest = self.overlays.request()?;
        if let Some(name) = self.name {
            if name.contains('/') {
                return Err(Failure::new(format!("{name:?}: profiles are named, files go to -f")));
            }
            request.sets.insert(0, format!("profile={name}"));
        }
        // A remote profile is shown even where nothing says yet which control plane it will use.
        let remote = request.sets.iter().any(|set| set == "profile=remote");
        if remote && !request.sets.iter().any(|set| set.starts_with("values.global.remotePilotAddress=")) {
            request.sets.push("values.global.remotePilotAddress=REMOTE_PILOT_ADDRESS".into());
        }
        let installation = profile::resolve(&request)?;
        output::data(&to_yaml(&json!({
            "apiVersion": "install.istio.io/v1alpha1",
            "kind": "IstioOperator",
            "spec": installation.spec,
        }))?);
        Ok(Exit::Success)
    }
}
