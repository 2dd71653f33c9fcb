//! Expressions on requests (CEL, the part that access log filters and metric labels are written in).
//!
//! Literals, attributes with selection and index, `has`, comparison, arithmetic, logic, `in`, the conditional, and the usual functions on
//! text. Attributes and functions that are not known here are refused when an expression is read, never when it is evaluated.

mod attribute;
mod evaluate;
mod parse;
mod token;

pub(crate) use attribute::CelFacts;
use evaluate::Value;
use parse::Expression;

use crate::config::FieldError;

/// A compiled expression.
#[derive(Debug, Clone)]
pub(crate) struct Cel {
    expression: Expression,
}

impl Cel {
    pub(crate) fn compile(text: &str) -> Result<Self, FieldError> {
        let refuse = |reason: String| FieldError::new("", format!("{text:?}: {reason}"));
        let expression = parse::parse(text).map_err(refuse)?;
        Ok(Self { expression })
    }

    /// Whether it is true. What cannot be evaluated (an attribute that is not there) is not.
    pub(crate) fn is_true(&self, facts: &CelFacts<'_>) -> bool {
        matches!(evaluate::evaluate(&self.expression, facts), Some(Value::Boolean(true)))
    }

    /// Its value as text; `None` where it cannot be evaluated.
    pub(crate) fn text(&self, facts: &CelFacts<'_>) -> Option<String> {
        evaluate::evaluate(&self.expression, facts)?.text()
    }
}

#[cfg(test)]
mod tests;
