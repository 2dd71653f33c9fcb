//! From a tree to a value.

use std::cell::Cell;
use std::cmp::Ordering;

use crate::syntax::{Comprehension, Expression, Macro, Operator};
use crate::value::Value;
use crate::{Binding, EvaluationError};

type Result<'a> = std::result::Result<Value<'a>, EvaluationError>;

/// One evaluation: what names stand for, and how many steps are left.
pub(crate) struct Evaluation<'b, 'a> {
    bindings: &'b [(&'a str, Binding<'a>)],
    steps: Cell<u64>,
}

/// Names that comprehensions bind, innermost first.
struct Scope<'s, 'a> {
    name: &'s str,
    value: &'s Value<'a>,
    outer: Option<&'s Scope<'s, 'a>>,
}

fn fail<T>(reason: impl Into<String>) -> std::result::Result<T, EvaluationError> {
    Err(EvaluationError::new(reason))
}

impl<'b, 'a> Evaluation<'b, 'a> {
    pub(crate) fn new(bindings: &'b [(&'a str, Binding<'a>)], steps: u64) -> Self {
        Self { bindings, steps: Cell::new(steps) }
    }

    pub(crate) fn run(&self, expression: &'a Expression) -> Result<'a> {
        self.value(expression, None)
    }

    fn spend(&self, steps: usize) -> std::result::Result<(), EvaluationError> {
        match self.steps.get().checked_sub(steps as u64) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => fail("the expression takes too many steps"),
        }
    }

    fn value(&self, expression: &'a Expression, scope: Option<&Scope<'_, 'a>>) -> Result<'a> {
        self.spend(1)?;
        Ok(match expression {
            Expression::Null => Value::Null,
            Expression::Boolean(flag) => Value::Boolean(*flag),
            Expression::Integer(number) => Value::Integer(*number),
            Expression::Double(number) => Value::Double(*number),
            Expression::Text(text) => Value::Text(text.as_str().into()),
            Expression::Name(name) => return self.named(name, scope),
            Expression::List(items) => Value::List(self.all(items, scope)?),
            Expression::Map(entries) => {
                let entry = |(key, value): &'a (Expression, Expression)| {
                    Ok((self.value(key, scope)?, self.value(value, scope)?))
                };
                Value::Map(entries.iter().map(entry).collect::<std::result::Result<_, EvaluationError>>()?)
            }
            Expression::Select { of, field, optional } => {
                return self.select(&self.value(of, scope)?, field, *optional);
            }
            Expression::Has { of, field } => Value::Boolean(match self.value(of, scope)? {
                Value::Optional(inner) => inner.is_some_and(|inner| inner.field(field).is_some()),
                of @ (Value::Object(_) | Value::Map(_)) => of.field(field).is_some(),
                other => return fail(format!("{} has no fields", other.type_name())),
            }),
            Expression::Index { of, index, optional } => {
                let (of, index) = (self.value(of, scope)?, self.value(index, scope)?);
                return element(&of, &index, *optional);
            }
            Expression::Not(inner) => Value::Boolean(!self.truth(inner, scope)?),
            Expression::Negate(inner) => match self.value(inner, scope)? {
                Value::Integer(number) => Value::Integer(number.checked_neg().ok_or_else(overflow)?),
                Value::Double(number) => Value::Double(-number),
                other => return fail(format!("{} cannot be negated", other.type_name())),
            },
            Expression::Binary(operator, left, right) => return self.binary(*operator, left, right, scope),
            Expression::Conditional(parts) => {
                let chosen = if self.truth(&parts[0], scope)? { &parts[1] } else { &parts[2] };
                return self.value(chosen, scope);
            }
            Expression::Matches(target, regex) => match self.value(target, scope)? {
                Value::Text(text) => {
                    self.spend(text.len() / 16)?;
                    Value::Boolean(regex.is_match(&text))
                }
                other => return fail(format!("no such overload: matches({})", other.type_name())),
            },
            Expression::Call { function, arguments } => {
                let arguments = self.all(arguments, scope)?;
                self.spend(arguments.iter().map(cost).sum())?;
                return (function.run)(&arguments);
            }
            Expression::Comprehension(of) => return self.comprehension(of, scope),
        })
    }

    fn all(
        &self,
        list: &'a [Expression],
        scope: Option<&Scope<'_, 'a>>,
    ) -> std::result::Result<Vec<Value<'a>>, EvaluationError> {
        list.iter().map(|one| self.value(one, scope)).collect()
    }

    fn truth(
        &self,
        expression: &'a Expression,
        scope: Option<&Scope<'_, 'a>>,
    ) -> std::result::Result<bool, EvaluationError> {
        match self.value(expression, scope)? {
            Value::Boolean(flag) => Ok(flag),
            other => fail(format!("{} is no condition", other.type_name())),
        }
    }

    fn named(&self, name: &str, scope: Option<&Scope<'_, 'a>>) -> Result<'a> {
        let mut next = scope;
        while let Some(scope) = next {
            if scope.name == name {
                return Ok(scope.value.clone());
            }
            next = scope.outer;
        }
        match self.bindings.iter().find(|(bound, _)| *bound == name) {
            Some((_, Binding::Value(json))) => Ok(Value::of(json)),
            Some((_, Binding::Optional(json))) => {
                Ok(Value::Optional(json.map(|json| Box::new(Value::of(json)))))
            }
            None => fail(format!("no such attribute: {name}")),
        }
    }

    fn select(&self, of: &Value<'a>, field: &str, optional: bool) -> Result<'a> {
        match of {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => Ok(Value::Optional(inner.field(field).map(Box::new))),
            Value::Object(_) | Value::Map(_) => match of.field(field) {
                found if optional => Ok(Value::Optional(found.map(Box::new))),
                Some(value) => Ok(value),
                None => fail(format!("no such key: {field}")),
            },
            other => fail(format!("{} has no field {field}", other.type_name())),
        }
    }

    fn binary(
        &self,
        operator: Operator,
        left: &'a Expression,
        right: &'a Expression,
        scope: Option<&Scope<'_, 'a>>,
    ) -> Result<'a> {
        // One side may settle it although the other cannot be evaluated.
        if let Operator::And | Operator::Or = operator {
            let settles = operator == Operator::Or;
            let first = self.truth(left, scope);
            if first == Ok(settles) {
                return Ok(Value::Boolean(settles));
            }
            return match self.truth(right, scope) {
                Ok(flag) if flag == settles => Ok(Value::Boolean(settles)),
                second => first.and(second).map(Value::Boolean),
            };
        }
        let (left, right) = (self.value(left, scope)?, self.value(right, scope)?);
        self.spend(cost(&left).min(cost(&right)))?;
        combine(operator, &left, &right)
    }

    fn comprehension(&self, of: &'a Comprehension, scope: Option<&Scope<'_, 'a>>) -> Result<'a> {
        let range = self.value(&of.range, scope)?;
        let pairs = pairs(&range, of.variables.len() == 2)?;
        self.spend(pairs.len())?;
        let mut matched = 0_usize;
        let mut failure = None;
        let mut made = Vec::new();
        for (first, second) in pairs {
            let outer = Scope { name: &of.variables[0], value: &first, outer: scope };
            let inner = match (of.variables.get(1), &second) {
                (Some(name), Some(value)) => Scope { name, value, outer: Some(&outer) },
                _ => Scope { name: outer.name, value: outer.value, outer: scope },
            };
            let place = Some(&inner);
            match (of.kind, &of.transform) {
                (Macro::Map, None) => made.push(self.value(&of.body, place)?),
                (Macro::Map, Some(transform)) => {
                    if self.truth(&of.body, place)? {
                        made.push(self.value(transform, place)?);
                    }
                }
                (Macro::Filter, _) => {
                    if self.truth(&of.body, place)? {
                        made.push(first.clone());
                    }
                }
                (kind, _) => match self.truth(&of.body, place) {
                    Ok(false) if kind == Macro::All => return Ok(Value::Boolean(false)),
                    Ok(true) if kind == Macro::Exists => return Ok(Value::Boolean(true)),
                    Ok(flag) => matched += usize::from(flag),
                    // Another element may settle it.
                    Err(error) => failure = Some(error),
                },
            }
        }
        match (of.kind, failure) {
            (Macro::Map | Macro::Filter, _) => Ok(Value::List(made)),
            (_, Some(error)) => Err(error),
            (Macro::All, None) => Ok(Value::Boolean(true)),
            (Macro::Exists, None) => Ok(Value::Boolean(false)),
            (Macro::ExistsOne, None) => Ok(Value::Boolean(matched == 1)),
        }
    }
}

fn overflow() -> EvaluationError {
    EvaluationError::new("integer overflow")
}

/// What a comprehension runs over: elements of a list or keys of a map; with two names, the index or key and the element.
fn pairs<'a>(
    range: &Value<'a>,
    both: bool,
) -> std::result::Result<Vec<(Value<'a>, Option<Value<'a>>)>, EvaluationError> {
    if let Some(items) = range.items() {
        let numbered = items.into_iter().enumerate();
        return Ok(numbered
            .map(|(at, item)| if both { (Value::Integer(at as i64), Some(item)) } else { (item, None) })
            .collect());
    }
    match range.entries() {
        Some(entries) => Ok(entries.into_iter().map(|(key, value)| (key, both.then_some(value))).collect()),
        None => fail(format!("{} is neither list nor map", range.type_name())),
    }
}

/// How many steps it is to walk through a value.
fn cost(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len() / 16,
        Value::Array(items) => items.len(),
        Value::List(items) => items.len(),
        Value::Object(fields) => fields.len(),
        Value::Map(entries) => entries.len(),
        _ => 0,
    }
}

fn element<'a>(of: &Value<'a>, index: &Value<'a>, optional: bool) -> Result<'a> {
    let found = match (of, index) {
        (Value::Optional(None), _) => return Ok(Value::Optional(None)),
        (Value::Optional(Some(inner)), _) => return element(inner, index, true),
        (Value::Object(_) | Value::Map(_), Value::Text(key)) => of.field(key),
        (Value::Map(entries), key) => {
            entries.iter().find(|(known, _)| known.equals(key)).map(|(_, value)| value.clone())
        }
        (Value::Array(items), Value::Integer(at)) => {
            usize::try_from(*at).ok().and_then(|at| items.get(at)).map(Value::of)
        }
        (Value::List(items), Value::Integer(at)) => {
            usize::try_from(*at).ok().and_then(|at| items.get(at)).cloned()
        }
        (of, index) => {
            return fail(format!("no such overload: {}[{}]", of.type_name(), index.type_name()));
        }
    };
    match (found, index) {
        (found, _) if optional => Ok(Value::Optional(found.map(Box::new))),
        (Some(value), _) => Ok(value),
        (None, Value::Integer(at)) => fail(format!("index out of bounds: {at}")),
        (None, key) => fail(format!("no such key: {}", key.text().unwrap_or_default())),
    }
}

fn combine<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Result<'a> {
    let ordered = |wanted: &[Ordering]| match left.compare(right) {
        Some(found) => Ok(Value::Boolean(wanted.contains(&found))),
        None => fail(format!("{} and {} cannot be compared", left.type_name(), right.type_name())),
    };
    match operator {
        Operator::Equal => Ok(Value::Boolean(left.equals(right))),
        Operator::NotEqual => Ok(Value::Boolean(!left.equals(right))),
        Operator::Less => ordered(&[Ordering::Less]),
        Operator::LessOrEqual => ordered(&[Ordering::Less, Ordering::Equal]),
        Operator::Greater => ordered(&[Ordering::Greater]),
        Operator::GreaterOrEqual => ordered(&[Ordering::Greater, Ordering::Equal]),
        Operator::In => contained(left, right),
        _ => arithmetic(operator, left, right),
    }
}

fn contained<'a>(wanted: &Value<'a>, range: &Value<'a>) -> Result<'a> {
    if let Some(items) = range.items() {
        return Ok(Value::Boolean(items.iter().any(|item| item.equals(wanted))));
    }
    match (range, wanted) {
        (Value::Object(_) | Value::Map(_), Value::Text(key)) => {
            Ok(Value::Boolean(range.field(key).is_some()))
        }
        (Value::Map(entries), key) => Ok(Value::Boolean(entries.iter().any(|(known, _)| known.equals(key)))),
        (other, _) => fail(format!("{} is neither list nor map", other.type_name())),
    }
}

fn arithmetic<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Result<'a> {
    match (operator, left, right) {
        (_, Value::Integer(left), Value::Integer(right)) => {
            let made = match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_sub(*right),
                Operator::Multiply => left.checked_mul(*right),
                Operator::Divide if *right == 0 => return fail("division by zero"),
                Operator::Divide => left.checked_div(*right),
                _ if *right == 0 => return fail("modulus by zero"),
                _ => left.checked_rem(*right),
            };
            made.map(Value::Integer).ok_or_else(overflow)
        }
        (Operator::Add, Value::Text(left), Value::Text(right)) => Ok(Value::owned(format!("{left}{right}"))),
        (Operator::Add, Value::Array(_) | Value::List(_), Value::Array(_) | Value::List(_)) => {
            let mut items = left.items().unwrap_or_default();
            items.extend(right.items().unwrap_or_default());
            Ok(Value::List(items))
        }
        (Operator::Add | Operator::Subtract, Value::Duration(left), Value::Duration(right)) => {
            let sign = if operator == Operator::Add { 1 } else { -1 };
            Ok(Value::Duration(crate::functions::duration_of(
                crate::functions::nanos(*left) + sign * crate::functions::nanos(*right),
            )))
        }
        (operator, left, right) => match (left.number(), right.number()) {
            (Some(left), Some(right)) if operator != Operator::Remainder => {
                Ok(Value::Double(match operator {
                    Operator::Add => left + right,
                    Operator::Subtract => left - right,
                    Operator::Multiply => left * right,
                    _ => left / right,
                }))
            }
            _ => fail(format!("no such overload: {operator:?}({}, {})", left.type_name(), right.type_name())),
        },
    }
}
