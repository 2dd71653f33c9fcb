//! Functions of lists, maps and optional values.

use std::cmp::Ordering;

use super::{Function, Outcome, error, global, integer, method, no_overload, text};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    global("size", 1, size),
    method("size", 1, 1, size),
    method("indexOf", 2, 2, |values| index_of(values, false)),
    method("lastIndexOf", 2, 2, |values| index_of(values, true)),
    method("join", 1, 2, join),
    method("isSorted", 1, 1, is_sorted),
    method("sum", 1, 1, sum),
    method("min", 1, 1, |values| extreme(values, Ordering::Less)),
    method("max", 1, 1, |values| extreme(values, Ordering::Greater)),
    method("hasValue", 1, 1, |values| match values {
        [Value::Optional(inner)] => Ok(Value::Boolean(inner.is_some())),
        _ => no_overload("hasValue", values),
    }),
    method("value", 1, 1, |values| match values {
        [Value::Optional(Some(inner))] => Ok((**inner).clone()),
        [Value::Optional(None)] => error("optional.none() dereference".to_owned()),
        _ => no_overload("value", values),
    }),
    method("orValue", 2, 2, |values| match values {
        [Value::Optional(inner), other] => {
            Ok(inner.as_ref().map_or_else(|| other.clone(), |inner| (**inner).clone()))
        }
        _ => no_overload("orValue", values),
    }),
    method("or", 2, 2, |values| match values {
        [Value::Optional(None), other @ Value::Optional(_)] => Ok(other.clone()),
        [first @ Value::Optional(Some(_)), Value::Optional(_)] => Ok(first.clone()),
        _ => no_overload("or", values),
    }),
    global("optional.of", 1, |values| Ok(Value::Optional(values.first().cloned().map(Box::new)))),
    global("optional.none", 0, |_| Ok(Value::Optional(None))),
];

fn size<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    match values {
        [Value::Text(text)] => integer(text.chars().count()),
        [Value::Array(items)] => integer(items.len()),
        [Value::List(items)] => integer(items.len()),
        [Value::Object(fields)] => integer(fields.len()),
        [Value::Map(entries)] => integer(entries.len()),
        _ => no_overload("size", values),
    }
}

fn index_of<'a>(values: &[Value<'a>], last: bool) -> Outcome<'a> {
    let [of, wanted] = values else { return no_overload("indexOf", values) };
    if let (Value::Text(text), Value::Text(part)) = (of, wanted) {
        return text::index_of(text, part, last);
    }
    let Some(items) = of.items() else { return no_overload("indexOf", values) };
    let equal = |item: &Value<'_>| item.equals(wanted);
    let found = if last { items.iter().rposition(equal) } else { items.iter().position(equal) };
    found.map_or(Ok(Value::Integer(-1)), integer)
}

fn join<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let by = values.get(1).and_then(Value::text).unwrap_or_default();
    let items = values.first().and_then(Value::items);
    let texts: Option<Vec<String>> =
        items.and_then(|items| items.iter().map(|item| item.text().map(str::to_owned)).collect());
    texts.map_or_else(|| no_overload("join", values), |texts| Ok(Value::owned(texts.join(by))))
}

fn is_sorted<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let Some(items) = values.first().and_then(Value::items) else { return no_overload("isSorted", values) };
    let ordered = |pair: &[Value<'_>]| pair[0].compare(&pair[1]).is_some_and(Ordering::is_le);
    Ok(Value::Boolean(items.windows(2).all(ordered)))
}

fn sum<'a>(values: &[Value<'a>]) -> Outcome<'a> {
    let Some(items) = values.first().and_then(Value::items) else { return no_overload("sum", values) };
    let mut whole = Some(0_i64);
    let mut broken = 0.0;
    let mut all_whole = true;
    for item in &items {
        match item {
            Value::Integer(number) => {
                whole = whole.and_then(|sum| sum.checked_add(*number));
                broken += *number as f64;
            }
            Value::Double(number) => {
                all_whole = false;
                broken += number;
            }
            _ => return no_overload("sum", values),
        }
    }
    match (all_whole, whole) {
        (true, Some(sum)) => Ok(Value::Integer(sum)),
        (true, None) => error("integer overflow".to_owned()),
        (false, _) => Ok(Value::Double(broken)),
    }
}

fn extreme<'a>(values: &[Value<'a>], wanted: Ordering) -> Outcome<'a> {
    let Some(items) = values.first().and_then(Value::items) else { return no_overload("min", values) };
    let mut items = items.into_iter();
    let Some(mut best) = items.next() else { return error("min or max of an empty list".to_owned()) };
    for item in items {
        if item.compare(&best) == Some(wanted) {
            best = item;
        }
    }
    Ok(best)
}
