//! Flags that say what to install, shared by `install`, `upgrade`, `manifest generate` and `profile dump`.

use clap::Args;
use sagene_analysis::input::{load, locate};
use sagene_analysis::{FieldPath, Input};
use sagene_manifest::profile::{self, InstallRequest, Installation, ProfileError, SourceFile};

use crate::exit::Failure;
use crate::files;
use crate::version::VERSION;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Overlays {
    /// IstioOperator file to lay over the profile; may be repeated, - is stdin and comes last
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<String>,
    /// Setting below spec, path=value; may be repeated
    #[arg(short, long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Profile, the same as --set profile=NAME
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Revision of the control plane, the same as --set revision=NAME
    #[arg(short, long, value_name = "NAME")]
    revision: Option<String>,
    /// Charts and profiles are part of the program; a directory of them is refused
    #[arg(short = 'd', long, value_name = "PATH", hide = true)]
    manifests: Option<String>,
    /// Deprecated spelling of --manifests
    #[arg(long, value_name = "PATH", hide = true)]
    charts: Option<String>,
    /// Turn errors about unknown settings into warnings
    #[arg(long)]
    force: bool,
}

impl Overlays {
    /// Reads the files and puts everything in order.
    pub(crate) fn request(&self) -> Result<InstallRequest, Failure> {
        if self.manifests.is_some() || self.charts.is_some() {
            return Err(Failure::usage(
                "--manifests: charts and profiles are part of the program and cannot be replaced",
            )
            .hint("lay settings over a profile with -f FILE or --set PATH=VALUE"));
        }
        if let Some(index) = self.filename.iter().position(|name| name == "-")
            && index + 1 != self.filename.len()
        {
            return Err(Failure::usage("--filename -: stdin can only be the last file"));
        }
        let mut files = Vec::new();
        for name in &self.filename {
            for input in files::read(name, false)? {
                files.push(SourceFile { name: input.name, text: input.text });
            }
        }
        let mut sets = self.set.clone();
        if let Some(profile) = &self.profile {
            sets.insert(0, format!("profile={profile}"));
        }
        Ok(InstallRequest {
            files,
            sets,
            revision: self.revision.clone(),
            force: self.force,
            default_tag: VERSION.to_owned(),
        })
    }

    /// What is to be installed. Errors about settings of a file say where in it they stand.
    pub(crate) fn resolve(&self) -> Result<Installation, Failure> {
        let request = self.request()?;
        profile::resolve(&request).map_err(|error| located(error, &request))
    }
}

/// The error with a line for each setting that stands in one of the files, and where. Later files count more.
fn located(error: ProfileError, request: &InstallRequest) -> Failure {
    let settings = error.settings();
    let mut is_placed = false;
    let lines: Vec<String> = settings
        .into_iter()
        .map(|(path, told)| {
            // What --set says takes the place of what files say.
            let is_of_file = !request.sets.iter().any(|set| set.starts_with(&path));
            let files = request.files.iter().rev().filter(|_| is_of_file);
            match files.filter_map(|file| place(file, &path)).next() {
                Some(place) => {
                    is_placed = true;
                    format!("{place}: {told}")
                }
                None => told,
            }
        })
        .collect();
    if !is_placed {
        return error.into();
    }
    let failure = Failure::new(lines.join("\n"));
    match error {
        ProfileError::UnknownSettings { .. } => failure.hint("--force installs without what is unknown"),
        _ => failure,
    }
}

/// `file:line:column` of a setting; `None` where the file does not have it.
fn place(file: &SourceFile, path: &str) -> Option<String> {
    let mut input = Input::default();
    load(&mut input, &file.name, file.text.clone(), "");
    let (_, document) = input.sources.iter().find(|(object, _)| object.kind == "IstioOperator")?;
    let path = FieldPath::parse(path).below(&FieldPath::parse("spec"));
    let place = locate(document, &path);
    place.exact.then(|| format!("{}:{}:{}", place.file, place.line, place.column))
}
