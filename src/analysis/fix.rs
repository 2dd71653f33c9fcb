//! Changes of files that make findings go away: only where there is one safe answer, and only what was reported is touched.

mod edit;
mod names;
mod plan;
mod rules;
mod site;

use std::sync::Arc;

use crate::code::Code;
use crate::message::ObjectRef;

pub use edit::Edit;
pub use plan::{FileChange, plan};

/// The answer to one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// The finding.
    pub code: Code,
    /// The object it is about.
    pub object: ObjectRef,
    /// The file that changes.
    pub file: Arc<str>,
    /// What changes, in words.
    pub description: String,
    /// What changes, in bytes of the file; in order and apart from one another.
    pub edits: Vec<Edit>,
}

#[cfg(test)]
mod tests;
