//! Profiles and what is laid over them: named profile, IstioOperator files, `--set`, resolved to one [`Installation`].
//!
//! Order, as istioctl documents it: default profile < named profile < files, left to right < `--set`. Maps merge by key, lists are
//! replaced whole. Unknown settings are errors that name a near one.

mod builtin;
mod error;
mod installation;
mod overlay;
mod path;
mod schema;
mod types;

#[cfg(test)]
mod tests;

pub use builtin::{UNSUPPORTED_PROFILES, names, profile};
pub use error::ProfileError;
pub use installation::{Installation, refusals, resolve};
pub(crate) use overlay::merge;
pub(crate) use path::assign;
pub use path::{PathError, set};
pub use types::{Mistake, mistakes};

/// What the user asked for, before anything is merged.
#[derive(Debug, Clone, Default)]
pub struct InstallRequest {
    /// IstioOperator documents with the name to use in messages, left to right.
    pub files: Vec<SourceFile>,
    /// `path=value` assignments below `spec`, left to right.
    pub sets: Vec<String>,
    /// `--revision`; the same as `--set revision=`.
    pub revision: Option<String>,
    /// Settings nothing knows become warnings instead of errors.
    pub force: bool,
    /// Tag used where none is set: the version of the program.
    pub default_tag: String,
}

/// One IstioOperator document.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// For messages: the path, or `-`.
    pub name: String,
    /// YAML.
    pub text: String,
}
