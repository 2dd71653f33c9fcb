//! `manifest generate`, `manifest diff` and `manifest install`: the objects of an installation as YAML, compared, or applied.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sagene_manifest::render;
use serde_json::Value;

use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::files;
use crate::install::InstallCommand;
use crate::install::settings::Overlays;
use crate::kubernetes::text;
use crate::output;
use crate::profile::unified;

#[derive(Debug, Args)]
pub(crate) struct ManifestCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Print the objects of an installation; no cluster is contacted
    Generate(Generate),
    /// Compare two files of manifests object by object; exits with 1 when they differ
    Diff(Diff),
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

#[derive(Debug, Args)]
struct Diff {
    /// First file
    left: String,
    /// Second file
    right: String,
    /// Only objects whose Kind:namespace:name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    select: String,
    /// Leave out objects whose Kind:namespace:name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    ignore: String,
}

impl Diff {
    fn run(self) -> Outcome {
        let (left, right) = (self.objects(&self.left)?, self.objects(&self.right)?);
        let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
        let mut differ = false;
        for name in names {
            let of = |side: &Objects| side.get(name).cloned().unwrap_or_default();
            let difference = unified(name, &of(&left), name, &of(&right));
            differ |= !difference.is_empty();
            output::data(&difference);
        }
        if !differ {
            output::line("Manifests are identical");
        }
        Ok(if differ { Exit::Failure } else { Exit::Success })
    }

    /// The objects of a file as YAML, by kind, namespace and name.
    fn objects(&self, path: &str) -> Result<Objects, Failure> {
        let mut objects = Objects::new();
        for input in files::read(path, false)? {
            for object in files::documents(&input)? {
                let part = |pointer: &str| text(&object, pointer).to_owned();
                let name =
                    format!("{}:{}:{}", part("/kind"), part("/metadata/namespace"), part("/metadata/name"));
                let ignored = !self.ignore.is_empty() && name.contains(&self.ignore);
                if name.contains(&self.select) && !ignored {
                    objects.insert(name, sagene_api::yaml::to_text(&object)?);
                }
            }
        }
        Ok(objects)
    }
}

/// Texts of objects by name.
type Objects = std::collections::BTreeMap<String, String>;

impl ManifestCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.command {
            Subcommands::Generate(generate) => generate.run(),
            Subcommands::Diff(diff) => diff.run(),
            Subcommands::Install(install) => install.run(context),
        }
    }
}

impl Generate {
    fn run(self) -> Outcome {
        let installation = self.overlays.resolve()?;
        for warning in &installation.warnings {
            output::progress(&format!("warning: {warning}"));
        }
        let mut objects: Vec<Value> =
            render::render(&installation)?.into_iter().flat_map(|component| component.objects).collect();
        render::sort(&mut objects);
        let mut text = String::new();
        for object in &objects {
            text.push_str(&sagene_api::yaml::to_text(object)?);
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
