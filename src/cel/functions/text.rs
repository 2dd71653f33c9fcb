//! Functions of strings.

use super::{Function, Outcome, compile_regex, error, global, integer, method, no_overload};
use crate::EvaluationError;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    method("startsWith", 2, 2, |values| test(values, "startsWith", |text, part| text.starts_with(part))),
    method("endsWith", 2, 2, |values| test(values, "endsWith", |text, part| text.ends_with(part))),
    method("contains", 2, 2, |values| test(values, "contains", |text, part| text.contains(part))),
    method("matches", 2, 2, matches),
    global("matches", 2, matches),
    method("lowerAscii", 1, 1, |values| change(values, "lowerAscii", str::to_ascii_lowercase)),
    method("upperAscii", 1, 1, |values| change(values, "upperAscii", str::to_ascii_uppercase)),
    method("trim", 1, 1, |values| change(values, "trim", |text| text.trim().to_owned())),
    method("charAt", 2, 2, char_at),
    method("substring", 2, 3, substring),
    method("replace", 3, 4, replace),
    method("split", 2, 3, split),
    method("find", 2, 2, find),
    method("findAll", 2, 3, find_all),
];

fn test<'a>(values: &[Value<'a>], name: &str, test: fn(&str, &str) -> bool) -> Outcome<'a> {
    match values {
        [Value::Text(text), Value::Text(part)] => Ok(Value::Boolean(test(text, part))),
        _ => no_overload(name, values),
    }
}

fn change<'a>(values: &[Value<'a>], name: &str, change: fn(&str) -> String) -> Outcome<'a> {
    match values {
        [Value::Text(text)] => Ok(Value::owned(change(text))),
        _ => no_overload(name, values),
    }
}

fn matches<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    match values {
        [Value::Text(text), Value::Text(pattern)] => {
            let regex = compile_regex(pattern).map_err(EvaluationError::new)?;
            Ok(Value::Boolean(regex.is_match(text)))
        }
        _ => no_overload("matches", values),
    }
}

fn char_at<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text), Value::Integer(at)] = values else { return no_overload("charAt", values) };
    let count = text.chars().count();
    match usize::try_from(*at) {
        Ok(at) if at == count => Ok(Value::owned(String::new())),
        Ok(at) if at < count => Ok(Value::owned(text.chars().skip(at).take(1).collect())),
        _ => error(format!("index out of range: {at}")),
    }
}

fn substring<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text), Value::Integer(start), rest @ ..] = values else {
        return no_overload("substring", values);
    };
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let end = match rest {
        [] => count,
        [Value::Integer(end)] => *end,
        _ => return no_overload("substring", values),
    };
    if *start < 0 || end < *start || end > count {
        return error(format!("index out of range: {start}..{end} of {count}"));
    }
    let (start, length) = (usize::try_from(*start).unwrap_or(0), usize::try_from(end - start).unwrap_or(0));
    Ok(Value::owned(text.chars().skip(start).take(length).collect()))
}

/// A limit: absent or negative means none.
fn limit(values: &[Value<'_>], at: usize) -> usize {
    match values.get(at) {
        Some(Value::Integer(count)) => usize::try_from(*count).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

fn replace<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    match values {
        [Value::Text(text), Value::Text(from), Value::Text(to), ..] => {
            Ok(Value::owned(text.replacen(from.as_ref(), to, limit(values, 3))))
        }
        _ => no_overload("replace", values),
    }
}

fn split<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text), Value::Text(by), ..] = values else { return no_overload("split", values) };
    let own = |part: &str| Value::owned(part.to_owned());
    Ok(Value::List(match limit(values, 2) {
        0 => Vec::new(),
        // Rust finds an empty text before the first character and behind the last one.
        most if by.is_empty() && most == usize::MAX => {
            text.chars().map(|character| Value::owned(character.to_string())).collect()
        }
        most => text.splitn(most, by.as_ref()).map(own).collect(),
    }))
}

fn find<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text), Value::Text(pattern)] = values else { return no_overload("find", values) };
    let regex = compile_regex(pattern).map_err(EvaluationError::new)?;
    Ok(Value::owned(regex.find(text).map_or("", |found| found.as_str()).to_owned()))
}

fn find_all<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Text(text), Value::Text(pattern), ..] = values else { return no_overload("findAll", values) };
    let regex = compile_regex(pattern).map_err(EvaluationError::new)?;
    let found = regex.find_iter(text).take(limit(values, 2));
    Ok(Value::List(found.map(|found| Value::owned(found.as_str().to_owned())).collect()))
}

/// `indexOf` and `lastIndexOf` of a string, in characters; -1 where it is not there.
pub(super) fn index_of<'a>(text: &str, part: &str, last: bool) -> Outcome<'a> {
    let found = if last { text.rfind(part) } else { text.find(part) };
    match found {
        Some(at) => integer(text[..at].chars().count()),
        None => Ok(Value::Integer(-1)),
    }
}
