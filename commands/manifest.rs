//! `manifest generate` and `manifest install`: the objects of an installation as YAML, or applied.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sagene_manifest::{profile, render};
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::install::InstallCommand;
use crate::install::settings::Overlays;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ManifestCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Print the objects of an installation; no cluster is contacted
    Generate(Generate),
    /// The same as install
    #[command(alias = "apply")]
    Install(InstallCommand),
}

#[derive(Debug, Args)]
struct Generate {
    #[command(flatten)]
    overlays: Overlays,
    /// Write to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ManifestCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.command {
            Subcommands::Generate(generate) => generate.run(),
            Subcommands::Install(install) => install.run(context),
        }
    }
}

impl Generate {
    fn run(self) -> Outcome {
        let installation = profile::resolve(&self.overlays.request()?)?;
        for warning in &installation.warnings {
            output::progress(&format!("warning: {warning}"));
        }
        let mut objects: Vec<Value> =
            render::render(&installation)?.into_iter().flat_map(|component| component.objects).collect();
        render::sort(&mut objects);
        let mut text = String::new();
        for object in &objects {
            text.push_str(&serde_yaml::to_string(object)?);
            text.push_str("\n---\n");
        }
        match &self.output {
            None => output::data(&text),
            Some(path) => std::fs::write(path, text)
                .map_err(|error| Failure::from(error).context(format!("cannot write {}", path.display())))?,
        }
        Ok(Exit::Success)
    }
}
