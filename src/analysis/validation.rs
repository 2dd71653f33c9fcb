//! The rules of each kind: the one implementation that the webhook, `validate` and `analyze` share.
//!
//! Source of the rules: Istio's CustomResourceDefinitions ([`shape`]), its API documentation and what its webhook rejects (one file per
//! kind).

mod annotations;
mod authorization_policy;
mod common;
mod destination_rule;
mod envoy_filter;
mod extensions;
mod gateway;
pub mod gateway_api;
mod host;
pub mod kubernetes;
pub mod mesh_config;
mod metadata;
mod nearest;
mod object;
mod peer_authentication;
mod place;
mod request_authentication;
pub(crate) mod service_entry;
pub(crate) mod shape;
mod sidecar;
mod telemetry;
#[cfg(test)]
mod testing;
mod virtual_service;
mod workload_entry;

use std::fmt::Display;

use sagene_api::{Object, Resource};

use crate::code::Code;
use crate::path::FieldPath;

pub use object::problems_of;
pub(crate) use object::rules_of;
pub(crate) use place::Place;
pub(crate) use virtual_service::unreachable::unreachable;

/// Whether a broken rule rejects the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Rejected.
    Error,
    /// Accepted, with a warning.
    Warning,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field.
    pub path: FieldPath,
    /// What is wrong, and what is accepted.
    pub message: String,
    /// Whether it rejects the object.
    pub severity: Severity,
    /// What `analyze` reports it as.
    pub code: Code,
}

impl std::fmt::Display for Problem {
    /// `path: message`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            return formatter.write_str(&self.message);
        }
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// A kind with rules of its own.
pub trait Validate: Resource {
    /// The broken rules of an object, in the order of its fields.
    fn problems(object: &Object<Self>) -> Vec<Problem>;
}

/// The broken rules of an object.
pub fn validate<S: Validate>(object: &Object<S>) -> Vec<Problem> {
    S::problems(object)
}

/// Collects problems below a path.
pub(crate) struct Report {
    problems: Vec<Problem>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { problems: Vec::new() }
    }

    pub(crate) fn error<'p>(&mut self, place: impl Into<Place<'p>>, message: impl Into<String>) {
        self.problems.push(Problem {
            path: place.into().path(),
            message: message.into(),
            severity: Severity::Error,
            code: Code::SchemaValidationError,
        });
    }

    pub(crate) fn warning<'p>(&mut self, place: impl Into<Place<'p>>, message: impl Into<String>) {
        self.problems.push(Problem {
            path: place.into().path(),
            message: message.into(),
            severity: Severity::Warning,
            code: Code::SchemaWarning,
        });
    }

    /// An error where `holds` is false; only then the words are put together.
    pub(crate) fn require<'p>(&mut self, holds: bool, place: impl Into<Place<'p>>, message: impl Display) {
        if !holds {
            self.error(place, message.to_string());
        }
    }

    /// A warning where `holds` is false; only then the words are put together.
    pub(crate) fn advise<'p>(&mut self, holds: bool, place: impl Into<Place<'p>>, message: impl Display) {
        if !holds {
            self.warning(place, message.to_string());
        }
    }

    pub(crate) fn finish(self) -> Vec<Problem> {
        self.problems
    }
}
