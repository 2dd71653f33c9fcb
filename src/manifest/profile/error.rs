//! What can be wrong with an installation request.

use super::path::PathError;
use super::types::Mistake;

/// Why a request cannot be resolved. Every text names the setting or file and a way out.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No such profile.
    #[error("unknown profile {name:?}; available profiles: {}", super::names().join(", "))]
    UnknownProfile {
        /// As written.
        name: String,
    },
    /// One of Istio's profiles that this version cannot install.
    #[error("profile {name:?} is not supported: {reason}")]
    UnsupportedProfile {
        /// As written.
        name: String,
        /// Why, and what to use instead.
        reason: &'static str,
    },
    /// A component that this version cannot install.
    #[error("component {name:?} is not supported: {reason}")]
    UnsupportedComponent {
        /// `cni` or `ztunnel`.
        name: &'static str,
        /// Why, and what to use instead.
        reason: &'static str,
    },
    /// A file is not YAML.
    #[error("{file}: not valid YAML")]
    Yaml {
        /// File name.
        file: String,
        /// Parser's words.
        #[source]
        source: serde_yaml::Error,
    },
    /// A file is YAML but not an IstioOperator.
    #[error("{file}: {reason}")]
    NotAnOperator {
        /// File name.
        file: String,
        /// What was found.
        reason: String,
    },
    /// A `--set` that cannot be applied.
    #[error("--set {assignment}")]
    Set {
        /// The assignment as written.
        assignment: String,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// Settings that nothing reads.
    #[error("unknown setting {}; --force installs without {}", .paths.join(", "), if .paths.len() == 1 { "it" } else { "them" })]
    UnknownSettings {
        /// Dotted paths, with a suggestion where there is a near one.
        paths: Vec<String>,
    },
    /// A setting has a value it cannot have.
    #[error("{path}: {reason}")]
    Invalid {
        /// Dotted path.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings have values that they cannot have.
    #[error("{}", .0.iter().map(|it| format!("{}: {}", it.path, it.reason)).collect::<Vec<_>>().join("\n"))]
    Types(Vec<Mistake>),
}

impl ProfileError {
    /// The settings it is about: dotted paths below `spec`, each with what is said of it.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        match self {
            Self::UnknownSettings { paths } => paths
                .iter()
                .map(|told| {
                    let path = told.split('"').nth(1).unwrap_or_default().to_owned();
                    (path, format!("unknown setting {told}"))
                })
                .collect(),
            Self::UnknownProfile { .. } | Self::UnsupportedProfile { .. } => {
                vec![("profile".to_owned(), self.to_string())]
            }
            Self::Invalid { path, reason } => vec![(path.clone(), format!("{path}: {reason}"))],
            Self::Types(mistakes) => {
                mistakes.iter().map(|it| (it.path.clone(), format!("{}: {}", it.path, it.reason))).collect()
            }
            _ => Vec::new(),
        }
    }
}
