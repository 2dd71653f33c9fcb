//! The Common Expression Language as Kubernetes uses it: the `x-kubernetes-validations` of CustomResourceDefinitions and the
//! `matchConditions` of webhooks, on JSON values.
//!
//! Expressions are compiled once; a name or function that does not exist is refused then. Evaluation takes no more steps than
//! [`STEP_LIMIT`] and never panics. Source of the rules: the CEL specification and Kubernetes' documentation of its libraries.
//!
//! Order of the room: [`token`] and [`parse`] make an [`syntax::Expression`], [`evaluate`] brings it to a [`value::Value`] with the help
//! of [`functions`].

mod evaluate;
mod functions;
mod parse;
mod syntax;
mod token;
mod value;

use serde_json::Value as Json;
use thiserror::Error;

use evaluate::Evaluation;
use syntax::Expression;
use value::Value;

/// Most steps that one evaluation may take.
pub const STEP_LIMIT: u64 = 1_000_000;
/// Longest expression, in bytes.
const LENGTH_LIMIT: usize = 64 << 10;

/// A text that is no expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct CompileError {
    reason: String,
}

/// An expression that has no value for what it was given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct EvaluationError {
    reason: String,
}

impl EvaluationError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// What a variable stands for.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// A value.
    Value(&'a Json),
    /// A value that may be missing, as CEL's optional type.
    Optional(Option<&'a Json>),
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Program {
    expression: Expression,
}

impl Program {
    /// Compiles `text`, in which the names in `variables` may be used.
    pub fn compile(text: &str, variables: &[&str]) -> Result<Self, CompileError> {
        if text.len() > LENGTH_LIMIT {
            return Err(CompileError { reason: format!("it is longer than {LENGTH_LIMIT} bytes") });
        }
        let expression = parse::parse(text, variables).map_err(|reason| CompileError { reason })?;
        Ok(Self { expression })
    }

    /// Whether the expression uses a variable.
    pub fn uses(&self, variable: &str) -> bool {
        self.expression.uses(variable)
    }

    /// Evaluates to a condition, with the variables bound to these values.
    pub fn is_true(&self, bindings: &[(&str, Binding<'_>)]) -> Result<bool, EvaluationError> {
        match self.value(bindings)? {
            Value::Boolean(flag) => Ok(flag),
            other => Err(EvaluationError::new(format!("the result is no bool but {}", other.type_name()))),
        }
    }

    /// Evaluates to a text, with the variables bound to these values.
    pub fn text(&self, bindings: &[(&str, Binding<'_>)]) -> Result<String, EvaluationError> {
        match self.value(bindings)? {
            Value::Text(text) => Ok(text.into_owned()),
            other => Err(EvaluationError::new(format!("the result is no string but {}", other.type_name()))),
        }
    }

    fn value<'a>(&'a self, bindings: &[(&'a str, Binding<'a>)]) -> Result<Value<'a>, EvaluationError> {
        let evaluation = Evaluation::new(bindings, STEP_LIMIT);
        evaluation.run(&self.expression)
    }
}

/// Checks the form of an expression alone: whatever its names and functions mean, it can be read.
pub fn check_syntax(text: &str) -> Result<(), CompileError> {
    if text.len() > LENGTH_LIMIT {
        return Err(CompileError { reason: format!("it is longer than {LENGTH_LIMIT} bytes") });
    }
    parse::check(text).map_err(|reason| CompileError { reason })
}

#[cfg(test)]
mod tests;
