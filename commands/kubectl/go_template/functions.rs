//! The functions of Go's templates that people use on objects: comparisons, `index`, `len`, `printf`, `base64decode` and their kin.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Go's idea of true: anything but false, zero, nothing, and what is empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A value as Go prints it: `map[a:b]`, `[a b]`.
pub(in crate::kubectl) fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(printed).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let mut pairs: Vec<(&String, &Value)> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let pairs: Vec<String> =
                pairs.into_iter().map(|(key, value)| format!("{key}:{}", printed(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// Calls a function.
pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let first = arguments.first();
    match (name, arguments) {
        ("and", [.., last]) => Ok(arguments.iter().find(|it| !is_true(it)).unwrap_or(last).clone()),
        ("or", [.., last]) => Ok(arguments.iter().find(|it| is_true(it)).unwrap_or(last).clone()),
        ("not", [one]) => Ok(Value::from(!is_true(one))),
        ("eq", [one, others @ ..]) if !others.is_empty() => {
            Ok(Value::from(others.iter().any(|other| order(one, other) == Some(Ordering::Equal))))
        }
        ("ne", [one, other]) => Ok(Value::from(order(one, other) != Some(Ordering::Equal))),
        ("lt" | "le" | "gt" | "ge", [one, other]) => compared(name, one, other),
        ("len", [one]) => length(one),
        ("index", [from, keys @ ..]) => keys.iter().try_fold(from.clone(), |value, key| element(&value, key)),
        ("print", _) => Ok(Value::from(arguments.iter().map(printed).collect::<Vec<_>>().join(" "))),
        ("println", _) => Ok(Value::from(arguments.iter().map(printed).collect::<Vec<_>>().join(" ") + "\n")),
        ("printf", [Value::String(format), values @ ..]) => formatted(format, values).map(Value::from),
        ("base64decode", [Value::String(text)]) => {
            let bytes = STANDARD.decode(text).map_err(|error| format!("base64decode: {error}"))?;
            Ok(Value::from(String::from_utf8_lossy(&bytes).into_owned()))
        }
        ("exists", [from, keys @ ..]) => {
            let found = keys.iter().try_fold(from.clone(), |value, key| element(&value, key));
            Ok(Value::from(found.is_ok_and(|value| !value.is_null())))
        }
        (
            "and" | "or" | "not" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "len" | "index" | "printf"
            | "base64decode" | "exists",
            _,
        ) => Err(format!("wrong arguments for {name}, which got {}", first.map_or("none".into(), printed))),
        _ => Err(format!("function \"{name}\" not defined")),
    }
}

fn compared(name: &str, one: &Value, other: &Value) -> Result<Value, String> {
    let order = order(one, other).ok_or("incompatible types for comparison")?;
    Ok(Value::from(match name {
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        "gt" => order.is_gt(),
        _ => order.is_ge(),
    }))
}

fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (one, other) => (one == other).then_some(Ordering::Equal),
    }
}

fn length(of: &Value) -> Result<Value, String> {
    match of {
        Value::String(text) => Ok(Value::from(text.len())),
        Value::Array(list) => Ok(Value::from(list.len())),
        Value::Object(map) => Ok(Value::from(map.len())),
        other => Err(format!("len of {}", printed(other))),
    }
}

fn element(of: &Value, key: &Value) -> Result<Value, String> {
    match (of, key) {
        (Value::Object(map), Value::String(key)) => Ok(map.get(key).cloned().unwrap_or(Value::Null)),
        (Value::Array(list), Value::Number(number)) => {
            let place = number.as_u64().and_then(|place| usize::try_from(place).ok());
            let found = place.and_then(|place| list.get(place)).cloned();
            found.ok_or_else(|| format!("error calling index: index out of range: {number}"))
        }
        (Value::Null, _) => Err("error calling index: index of nil".to_owned()),
        (_, key) => Err(format!("error calling index: cannot index with {}", printed(key))),
    }
}

/// Go's verbs `%s %v %d %q %t %%`.
fn formatted(format: &str, values: &[Value]) -> Result<String, String> {
    let (mut out, mut values) = (String::new(), values.iter());
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('%') => out.push('%'),
            Some(verb @ ('s' | 'v' | 'd' | 't' | 'q')) => match values.next() {
                Some(value) if verb == 'q' => out.push_str(&format!("{:?}", printed(value))),
                Some(value) => out.push_str(&printed(value)),
                None => out.push_str(&format!("%!{verb}(MISSING)")),
            },
            other => {
                let verb = other.map(String::from).unwrap_or_default();
                return Err(format!("printf: the verb %{verb} is not supported"));
            }
        }
    }
    Ok(out)
}
