//! `x-kubernetes-validations`: rules written as CEL expressions, on new objects and on changes.

use sagene_cel::{Binding, Program};
use serde_json::Value;

use super::read::SchemaError;
use crate::apiserver::error::Cause;
use crate::apiserver::schema::{ListMerge, Schema, SchemaKind};

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct ExpressionRule {
    program: Program,
    /// What is said when it does not hold.
    message: String,
    message_expression: Option<Program>,
    /// Machine-readable reason of the refusal.
    reason: String,
    /// Below the value, with a leading dot; empty for the value itself.
    field: String,
    /// Whether it is about a change.
    about_change: bool,
    /// Whether `oldSelf` is an optional value, so that the rule counts for new objects too.
    optional_old: bool,
}

/// The rules of a node.
pub(super) fn read(source: &Value, path: &str) -> Result<Vec<ExpressionRule>, SchemaError> {
    let listed = source["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate();
    listed.map(|(at, rule)| rule_of(rule, &format!("{path}.x-kubernetes-validations[{at}]"))).collect()
}

fn rule_of(source: &Value, path: &str) -> Result<ExpressionRule, SchemaError> {
    let text = |name: &str| source[name].as_str().unwrap_or("");
    let compile = |name: &str| {
        Program::compile(text(name), &["self", "oldSelf"]).map_err(|error| SchemaError {
            path: format!("{path}.{name}"),
            message: format!("Invalid value: {:?}: compilation failed: {error}", text(name)),
        })
    };
    let program = compile("rule")?;
    let message_expression =
        if text("messageExpression").is_empty() { None } else { Some(compile("messageExpression")?) };
    let message = match text("message") {
        "" => format!("failed rule: {}", text("rule").trim()),
        message => message.to_owned(),
    };
    let reason = match text("reason") {
        "" => "FieldValueInvalid",
        reason => reason,
    };
    Ok(ExpressionRule {
        about_change: program.uses("oldSelf"),
        program,
        message,
        message_expression,
        reason: reason.to_owned(),
        field: text("fieldPath").to_owned(),
        optional_old: source["optionalOldSelf"] == true,
    })
}

/// Checks the rules of a value and of all that is in it.
pub(super) fn check(
    schema: &Schema,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let Some(rules) = &schema.rules else { return };
    if value.is_null() {
        return;
    }
    causes.extend(rules.expressions.iter().filter_map(|rule| rule.check(value, old, path)));
    match (&schema.kind, value) {
        (SchemaKind::Object { .. } | SchemaKind::Map(_), Value::Object(fields)) => {
            for (name, value) in fields {
                if let Some(field) = schema.field(name) {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    check(field, value, old.and_then(|old| old.get(name)), &path, causes);
                }
            }
        }
        (SchemaKind::List { item, merge }, Value::Array(items)) => {
            for (at, value) in items.iter().enumerate() {
                check(item, value, old_item(merge, value, old), &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

/// What an element was before. Only elements with keys can be told apart.
fn old_item<'v>(merge: &ListMerge, value: &Value, old: Option<&'v Value>) -> Option<&'v Value> {
    let ListMerge::Map(keys) = merge else { return None };
    old?.as_array()?.iter().find(|other| keys.iter().all(|key| other[key] == value[key]))
}

impl ExpressionRule {
    fn check(&self, value: &Value, old: Option<&Value>, path: &str) -> Option<Cause> {
        let mut bindings = vec![("self", Binding::Value(value))];
        match (self.optional_old, old) {
            (true, old) => bindings.push(("oldSelf", Binding::Optional(old))),
            (false, Some(old)) => bindings.push(("oldSelf", Binding::Value(old))),
            (false, None) if self.about_change => return None,
            (false, None) => {}
        }
        match self.program.is_true(&bindings) {
            Ok(true) => None,
            Ok(false) => Some(self.cause(value, path, &self.words(&bindings))),
            Err(error) => Some(self.cause(value, path, &format!("rule evaluation error: {error}"))),
        }
    }

    fn words(&self, bindings: &[(&str, Binding<'_>)]) -> String {
        let made = self.message_expression.as_ref().and_then(|program| program.text(bindings).ok());
        made.filter(|words| !words.trim().is_empty()).unwrap_or_else(|| self.message.clone())
    }

    fn cause(&self, value: &Value, path: &str, words: &str) -> Cause {
        let field = format!("{path}{}", self.field);
        let field = field.trim_start_matches('.').to_owned();
        // Only scalars are shown.
        let shown = match value {
            Value::Object(_) => Value::from("object"),
            Value::Array(_) => Value::from("array"),
            scalar => scalar.clone(),
        };
        match self.reason.as_str() {
            "FieldValueForbidden" => Cause::forbidden(field, words),
            "FieldValueRequired" => Cause::required(field, words),
            "FieldValueDuplicate" => Cause::duplicate(field, &shown),
            _ => Cause::invalid(field, &shown, words),
        }
    }
}
