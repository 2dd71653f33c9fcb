//! What does not fit a shape, and where.

use std::fmt::{self, Write};

use serde::de::{Error as _, Expected, Unexpected};
use serde_json::Error;

/// Something that does not fit. Its words are serde's.
#[derive(Debug)]
pub struct Mistake(Box<Content>);

#[derive(Debug)]
struct Content {
    error: Error,
    /// From the innermost step outwards: noted on the way back, because nearly everything fits.
    place: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Mistake {
    pub(crate) fn new(error: Error) -> Self {
        Self(Box::new(Content { error, place: Vec::new() }))
    }

    pub(crate) fn custom(words: impl fmt::Display) -> Self {
        Self::new(Error::custom(words))
    }

    pub(crate) fn wrong_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Error::invalid_type(found, expected))
    }

    pub(crate) fn wrong_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Error::invalid_value(found, expected))
    }

    pub(crate) fn unknown_name(found: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Error::unknown_variant(found, expected))
    }

    /// The same, seen from outside the field `key`.
    pub(crate) fn below_key(mut self, key: String) -> Self {
        self.0.place.push(Step::Key(key));
        self
    }

    /// The same, seen from outside the element.
    pub(crate) fn below_index(mut self, index: usize) -> Self {
        self.0.place.push(Step::Index(index));
        self
    }

    /// Where, such as `http[0].timeout`; empty for the value itself.
    pub fn place(&self) -> String {
        let mut text = String::new();
        for step in self.0.place.iter().rev() {
            // Writing to a String cannot fail.
            let _ = match step {
                Step::Index(index) => write!(text, "[{index}]"),
                Step::Key(key) if text.is_empty() => write!(text, "{key}"),
                Step::Key(key) => write!(text, ".{key}"),
            };
        }
        text
    }

    /// What is wrong, without the place.
    pub fn words(&self) -> String {
        self.0.error.to_string()
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            place if place.is_empty() => write!(formatter, "{}", self.0.error),
            place => write!(formatter, "{place}: {}", self.0.error),
        }
    }
}
