//! A way out that rides with an error: errors say what is wrong, hints say what to do about it.
//!
//! Hints are rendered apart from the error chain, so an error's `Display` never contains one.

use std::{borrow::Cow, fmt};

/// One sentence that tells the reader what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(Cow<'static, str>);

impl Hint {
    /// Wraps a sentence; no trailing full stop is added.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    /// The sentence.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Implemented by errors that know a way out.
pub trait Hinted {
    /// The way out, if there is one.
    fn hint(&self) -> Option<Hint>;
}
