//! Values, and how a tree comes to one.

use std::cmp::Ordering;

use super::attribute::{self, CelFacts};
use super::parse::{Expression, Function, Operator};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(&'static str, String)>),
}

impl Value {
    /// As text; lists and maps have none.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Boolean(flag) => Some(flag.to_string()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Double(number) => Some(number.to_string()),
            Self::Null | Self::List(_) | Self::Map(_) => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Boolean(left), Self::Boolean(right)) => Some(left.cmp(right)),
            (left, right) => left.number()?.partial_cmp(&right.number()?),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(left), Some(right)) => left == right,
            _ => self == other,
        }
    }
}

/// The value of an expression; `None` where something in it is not there or does not fit.
pub(super) fn evaluate(expression: &Expression, facts: &CelFacts<'_>) -> Option<Value> {
    let truth = |expression: &Expression| match evaluate(expression, facts) {
        Some(Value::Boolean(flag)) => Some(flag),
        _ => None,
    };
    match expression {
        Expression::Literal(value) => Some(value.clone()),
        Expression::Attribute(attribute) => attribute.value(facts),
        Expression::Entry(from, key) => entry(from, key, facts),
        Expression::Has(inner) => Some(Value::Boolean(evaluate(inner, facts).is_some())),
        Expression::Not(inner) => truth(inner).map(|flag| Value::Boolean(!flag)),
        Expression::Negate(inner) => match evaluate(inner, facts)? {
            Value::Integer(number) => number.checked_neg().map(Value::Integer),
            Value::Double(number) => Some(Value::Double(-number)),
            _ => None,
        },
        // One side may settle it although the other cannot be evaluated.
        Expression::Binary(Operator::And, left, right) => match (truth(left), truth(right)) {
            (Some(false), _) | (_, Some(false)) => Some(Value::Boolean(false)),
            (Some(true), Some(true)) => Some(Value::Boolean(true)),
            _ => None,
        },
        Expression::Binary(Operator::Or, left, right) => match (truth(left), truth(right)) {
            (Some(true), _) | (_, Some(true)) => Some(Value::Boolean(true)),
            (Some(false), Some(false)) => Some(Value::Boolean(false)),
            _ => None,
        },
        Expression::Binary(Operator::In, left, right) => contained(left, right, facts),
        Expression::Binary(operator, left, right) => {
            binary(*operator, &evaluate(left, facts)?, &evaluate(right, facts)?)
        }
        Expression::Conditional(condition, yes, no) => {
            evaluate(if truth(condition)? { yes } else { no }, facts)
        }
        Expression::List(items) => {
            items.iter().map(|item| evaluate(item, facts)).collect::<Option<_>>().map(Value::List)
        }
        Expression::Matches(target, regex) => match evaluate(target, facts)? {
            Value::Text(text) => Some(Value::Boolean(regex.is_match(text.as_bytes()))),
            _ => None,
        },
        Expression::Call(function, target, arguments) => {
            let argument = match arguments.first() {
                Some(argument) => Some(evaluate(argument, facts)?),
                None => None,
            };
            call(*function, &evaluate(target, facts)?, argument.as_ref())
        }
    }
}

fn entry(from: &Expression, key: &Expression, facts: &CelFacts<'_>) -> Option<Value> {
    let key = evaluate(key, facts)?;
    if let (Expression::Attribute(attribute), Value::Text(key)) = (from, &key) {
        return attribute::entry(*attribute, key, facts);
    }
    match (evaluate(from, facts)?, key) {
        (Value::Map(fields), Value::Text(key)) => {
            fields.into_iter().find(|(name, _)| *name == key).map(|(_, value)| Value::Text(value))
        }
        (Value::List(items), Value::Integer(index)) => items.get(usize::try_from(index).ok()?).cloned(),
        _ => None,
    }
}

fn contained(left: &Expression, right: &Expression, facts: &CelFacts<'_>) -> Option<Value> {
    let wanted = evaluate(left, facts)?;
    if let Expression::Attribute(_) = right {
        let key = Box::new(Expression::Literal(wanted));
        return Some(Value::Boolean(entry(right, &key, facts).is_some()));
    }
    match evaluate(right, facts)? {
        Value::List(items) => Some(Value::Boolean(items.iter().any(|item| item.equals(&wanted)))),
        Value::Map(fields) => {
            Some(Value::Boolean(fields.iter().any(|(name, _)| Value::Text((*name).to_owned()) == wanted)))
        }
        _ => None,
    }
}

fn binary(operator: Operator, left: &Value, right: &Value) -> Option<Value> {
    let ordered =
        |wanted: &[Ordering]| left.compare(right).map(|found| Value::Boolean(wanted.contains(&found)));
    match operator {
        Operator::Equal => Some(Value::Boolean(left.equals(right))),
        Operator::NotEqual => Some(Value::Boolean(!left.equals(right))),
        Operator::Less => ordered(&[Ordering::Less]),
        Operator::LessOrEqual => ordered(&[Ordering::Less, Ordering::Equal]),
        Operator::Greater => ordered(&[Ordering::Greater]),
        Operator::GreaterOrEqual => ordered(&[Ordering::Greater, Ordering::Equal]),
        _ => arithmetic(operator, left, right),
    }
}

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Option<Value> {
    if let (Value::Integer(left), Value::Integer(right)) = (left, right) {
        let made = match operator {
            Operator::Add => left.checked_add(*right),
            Operator::Subtract => left.checked_sub(*right),
            Operator::Multiply => left.checked_mul(*right),
            Operator::Divide => left.checked_div(*right),
            Operator::Remainder => left.checked_rem(*right),
            _ => None,
        };
        return made.map(Value::Integer);
    }
    if let (Operator::Add, Value::Text(left), Value::Text(right)) = (operator, left, right) {
        return Some(Value::Text(format!("{left}{right}")));
    }
    let (left, right) = (left.number()?, right.number()?);
    Some(Value::Double(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => return None,
    }))
}

fn call(function: Function, target: &Value, argument: Option<&Value>) -> Option<Value> {
    let with = |test: fn(&str, &str) -> bool| match (target, argument) {
        (Value::Text(text), Some(Value::Text(part))) => Some(Value::Boolean(test(text, part))),
        _ => None,
    };
    match function {
        Function::StartsWith => with(|text, part| text.starts_with(part)),
        Function::EndsWith => with(|text, part| text.ends_with(part)),
        Function::Contains => with(|text, part| text.contains(part)),
        Function::Size => match target {
            Value::Text(text) => i64::try_from(text.chars().count()).ok().map(Value::Integer),
            Value::List(items) => i64::try_from(items.len()).ok().map(Value::Integer),
            _ => None,
        },
        Function::Text => target.text().map(Value::Text),
        Function::Integer => match target {
            Value::Integer(_) => Some(target.clone()),
            // Saturates, which no count of a request reaches.
            Value::Double(number) => Some(Value::Integer(*number as i64)),
            Value::Text(text) => text.parse().ok().map(Value::Integer),
            _ => None,
        },
        Function::Double => match target {
            Value::Text(text) => text.parse().ok().map(Value::Double),
            other => other.number().map(Value::Double),
        },
        Function::LowerAscii => target.text().map(|text| Value::Text(text.to_ascii_lowercase())),
        Function::UpperAscii => target.text().map(|text| Value::Text(text.to_ascii_uppercase())),
    }
}
