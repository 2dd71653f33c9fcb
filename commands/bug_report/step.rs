//! One thing to collect: where it comes from, and which file it becomes.

use std::fmt;

use crate::kubernetes::{PodName, Resource};

/// A file of the archive, below `bug-report/`, and what fills it.
pub(super) struct Step {
    pub(super) file: String,
    pub(super) source: Source,
}

/// Where a file's content comes from.
pub(super) enum Source {
    /// Something known already.
    Text(String),
    /// A document of the API server.
    Document { path: String },
    /// All objects of these types, in pages, as YAML.
    Objects { resources: Vec<Resource>, full_secrets: bool },
    /// The table that the API server makes of a type.
    Table { resource: Resource },
    /// What a port of a pod answers.
    Http { pod: PodName, port: u16, path: String },
    /// A container's log, or that of the run before.
    Log { pod: PodName, container: String, previous: bool },
    /// The output of the first of these programs that a container has.
    Exec { pod: PodName, container: String, programs: Vec<Vec<String>> },
    /// Every core dump of a container; the file is the folder they come into.
    Cores { pod: PodName, container: String },
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.file)?;
        match &self.source {
            Source::Text(_) => formatter.write_str("known already"),
            Source::Document { path } => write!(formatter, "GET {path}"),
            Source::Objects { resources, .. } => {
                let paths: Vec<String> = resources.iter().map(|resource| resource.collection(None)).collect();
                write!(formatter, "GET {}", paths.join(" "))
            }
            Source::Table { resource } => write!(formatter, "GET {} as a table", resource.collection(None)),
            Source::Http { pod, port, path } => {
                write!(formatter, "GET {path} on port {port} of pod {}.{}", pod.name, pod.namespace)
            }
            Source::Log { pod, container, previous } => write!(
                formatter,
                "log of container {container} of pod {}.{}{}",
                pod.name,
                pod.namespace,
                if *previous { " before its last start" } else { "" }
            ),
            Source::Exec { pod, container, programs } => {
                let program = programs.first().map(|program| program.join(" ")).unwrap_or_default();
                write!(formatter, "{program} in container {container} of pod {}.{}", pod.name, pod.namespace)
            }
            Source::Cores { pod, container } => {
                write!(formatter, "core dumps of container {container} of pod {}.{}", pod.name, pod.namespace)
            }
        }
    }
}
