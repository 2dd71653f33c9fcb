//! The grammar of `--set`: `a.b=1`, `list[0].x=y`, `list.[name:foo].x=y`, `list={a,b}`, `a.b=null` to take away what the profile says; `\.` for
//! a dot inside a key, `\,` for a comma and `\{` for a brace in a value. Lists and `null` are Helm's, the rest is istioctl's.

use serde_json::{Map, Value, json};

/// Why an assignment cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No `=`.
    #[error("expected path=value")]
    NoValue,
    /// Nothing before `=`, or an empty step.
    #[error("the path has an empty step")]
    EmptyStep,
    /// `[` without `]`, or something else than a number or `key:value` between them.
    #[error("{0:?} is not an index: write [0] or [name:value]")]
    BadIndex(String),
    /// The path goes through a scalar, or indexes something that is no list.
    #[error("{0:?} is not a {1}")]
    WrongKind(String, &'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    Element(String, String),
}

/// Paths whose value stays text even when it looks like a number.
fn always_text(path: &str) -> bool {
    ["tag", "values.global.tag", "compatibilityVersion", "revision", "values.revision"].contains(&path)
        || path.ends_with(".tag")
        || path.contains("proxyMetadata.")
        || path.contains("nnotations.")
        || path.contains(".env.")
}

/// Applies one assignment to a tree of settings and returns the path it wrote.
///
/// # Errors
/// When the assignment does not follow the grammar or contradicts the tree.
pub fn set(root: &mut Value, assignment: &str) -> Result<String, PathError> {
    let (path, text) = assignment.split_once('=').ok_or(PathError::NoValue)?;
    let value = value(path, text);
    let is_element = |steps: &[Step]| !matches!(steps.last(), Some(Step::Key(_)));
    // An element goes at once; a key stays as `null`, which takes it from what this is laid over.
    let value = (!value.is_null() || !is_element(&parse(path)?)).then_some(value);
    assign(root, path, value)?;
    Ok(path.to_owned())
}

/// Puts a value at a path of any tree, or with `None` removes what is there. Removing what is not there changes nothing.
pub(crate) fn assign(root: &mut Value, path: &str, value: Option<Value>) -> Result<(), PathError> {
    let steps = parse(path)?;
    let Some(value) = value else {
        remove(root, &steps);
        return Ok(());
    };
    let mut slot = root;
    for step in &steps {
        slot = descend(slot, step, path)?;
    }
    *slot = value;
    Ok(())
}

fn remove(root: &mut Value, steps: &[Step]) -> Option<Value> {
    let (last, before) = steps.split_last()?;
    let mut slot = root;
    for step in before {
        slot = match step {
            Step::Key(key) => slot.get_mut(key)?,
            step => {
                let index = position(slot, step)?;
                slot.get_mut(index)?
            }
        };
    }
    match last {
        Step::Key(key) => slot.as_object_mut()?.remove(key),
        step => {
            let index = position(slot, step)?;
            Some(slot.as_array_mut()?.remove(index))
        }
    }
}

/// Where in a list an element is.
fn position(list: &Value, step: &Step) -> Option<usize> {
    let list = list.as_array()?;
    match step {
        Step::Key(_) => None,
        Step::Index(index) => (*index < list.len()).then_some(*index),
        Step::Element(key, value) => {
            list.iter().position(|entry| entry.get(key).and_then(Value::as_str) == Some(value))
        }
    }
}

fn value(path: &str, text: &str) -> Value {
    if let Some(items) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return items_of(items).into_iter().map(|item| scalar(path, item.trim())).collect();
    }
    if text == "null" { Value::Null } else { scalar(path, text) }
}

/// Splits at commas that have no `\` before them; no items where there is nothing between the braces.
fn items_of(text: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(',') {
        if !text[..at].ends_with('\\') {
            items.push(&text[start..at]);
            start = at + 1;
        }
    }
    if !text.trim().is_empty() {
        items.push(&text[start..]);
    }
    items
}

fn scalar(path: &str, text: &str) -> Value {
    let text = text.replace("\\,", ",").replace("\\{", "{");
    if always_text(path) {
        return json!(text);
    }
    if let Ok(number) = text.parse::<i64>() {
        return json!(number);
    }
    match text.as_str() {
        "true" => json!(true),
        "false" => json!(false),
        _ => match text.parse::<f64>() {
            Ok(number) if number.is_finite() && text.bytes().any(|byte| byte.is_ascii_digit()) => {
                json!(number)
            }
            _ => json!(text),
        },
    }
}

fn parse(path: &str) -> Result<Vec<Step>, PathError> {
    let mut steps = Vec::new();
    for piece in split(path) {
        let (key, mut rest) = match piece.find('[') {
            Some(start) => piece.split_at(start),
            None => (piece.as_str(), ""),
        };
        if key.is_empty() && rest.is_empty() {
            return Err(PathError::EmptyStep);
        }
        if !key.is_empty() {
            steps.push(Step::Key(key.to_owned()));
        }
        while !rest.is_empty() {
            let bad = || PathError::BadIndex(rest.to_owned());
            let (inside, after) =
                rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(bad)?;
            steps.push(match inside.split_once(':') {
                Some((key, value)) => Step::Element(key.to_owned(), value.to_owned()),
                None => Step::Index(inside.parse().map_err(|_| bad())?),
            });
            rest = after;
        }
    }
    if matches!(steps.first(), Some(Step::Key(_))) { Ok(steps) } else { Err(PathError::EmptyStep) }
}

/// Splits at dots; `\.` is a dot inside a key, and dots between brackets do not count.
fn split(path: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut depth = 0usize;
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'.') => {
                characters.next();
                push(&mut pieces, '.');
            }
            '.' if depth == 0 => pieces.push(String::new()),
            _ => {
                match character {
                    '[' => depth += 1,
                    ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                push(&mut pieces, character);
            }
        }
    }
    pieces
}

fn push(pieces: &mut [String], character: char) {
    if let Some(piece) = pieces.last_mut() {
        piece.push(character);
    }
}

fn descend<'a>(slot: &'a mut Value, step: &Step, path: &str) -> Result<&'a mut Value, PathError> {
    let wrong = |kind| PathError::WrongKind(path.to_owned(), kind);
    match step {
        Step::Key(key) => {
            if slot.is_null() {
                *slot = Value::Object(Map::new());
            }
            let map = slot.as_object_mut().ok_or_else(|| wrong("mapping"))?;
            Ok(map.entry(key).or_insert(Value::Null))
        }
        Step::Index(index) => {
            let list = list_at(slot).ok_or_else(|| wrong("list"))?;
            // An index past the end appends, whatever the number: no holes.
            let index = (*index).min(list.len());
            if index == list.len() {
                list.push(Value::Null);
            }
            Ok(&mut list[index])
        }
        Step::Element(key, value) => {
            let list = list_at(slot).ok_or_else(|| wrong("list"))?;
            let found = list.iter().position(|entry| entry.get(key).and_then(Value::as_str) == Some(value));
            let index = found.unwrap_or(list.len());
            if index == list.len() {
                list.push(json!({key: value}));
            }
            Ok(&mut list[index])
        }
    }
}

fn list_at(slot: &mut Value) -> Option<&mut Vec<Value>> {
    if slot.is_null() {
        *slot = json!([]);
    }
    slot.as_array_mut()
}
