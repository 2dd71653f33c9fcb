//! kubectl's JSONPath templates: `{.a.b[0]}`, `[*]`, `['key']`, filters `[?(@.x=="y")]`, `{range …}{end}`, `..name`, quoted text.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Node>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(i64),
    /// Several paths, as in `['a','b.c']` and `[0,2]`.
    Union(Vec<Vec<Self>>),
    Slice(Option<i64>, Option<i64>),
    All,
    Recursive(String),
    Filter(Vec<Step>, String, Value),
}

/// Renders a template on a document. A path that leads nowhere renders as nothing.
pub(super) fn render(template: &str, document: &Value) -> Result<String, String> {
    let template = template.trim_matches('\'');
    let wrapped = if template.contains('{') { template.to_owned() } else { format!("{{{template}}}") };
    let mut tokens = tokens(&wrapped)?.into_iter();
    let nodes = parse(&mut tokens, false)?;
    let mut out = String::new();
    write(&nodes, document, &mut out).map_err(|problem| {
        format!("error executing jsonpath {template:?}: Error executing template: {problem}")
    })?;
    Ok(out)
}

/// What one path leads to; kubectl takes `metadata.name`, `.metadata.name` and `{.metadata.name}` for the same.
pub(super) fn values<'a>(path: &str, document: &'a Value) -> Result<Vec<&'a Value>, String> {
    let path = path.trim();
    let inner = path.strip_prefix('{').and_then(|path| path.strip_suffix('}')).unwrap_or(path);
    walk(&steps(inner)?, document)
}

/// Text outside braces and expressions inside.
#[derive(Debug)]
enum Token {
    Text(String),
    Expression(String),
}

fn tokens(template: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = template;
    while let Some(start) = rest.find('{') {
        if start > 0 {
            tokens.push(Token::Text(rest[..start].to_owned()));
        }
        let end = closing_brace(&rest[start..]).ok_or("unclosed action in the JSONPath template")?;
        tokens.push(Token::Expression(rest[start + 1..start + end].trim().to_owned()));
        rest = &rest[start + end + 1..];
    }
    if !rest.is_empty() {
        tokens.push(Token::Text(rest.to_owned()));
    }
    Ok(tokens)
}

fn closing_brace(text: &str) -> Option<usize> {
    let mut quote = None;
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '}') => return Some(index),
            _ => {}
        }
    }
    None
}

fn parse(tokens: &mut std::vec::IntoIter<Token>, in_range: bool) -> Result<Vec<Node>, String> {
    let mut nodes = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(text) => nodes.push(Node::Text(text)),
            Token::Expression(expression) => {
                if expression == "end" {
                    return if in_range { Ok(nodes) } else { Err("{end} without {range}".to_owned()) };
                }
                if let Some(path) = expression.strip_prefix("range ") {
                    let path = steps(path.trim())?;
                    nodes.push(Node::Range(path, parse(tokens, true)?));
                } else if let Some(quoted) = quoted(&expression) {
                    nodes.push(Node::Text(quoted));
                } else {
                    nodes.push(Node::Path(steps(&expression)?));
                }
            }
        }
    }
    if in_range { Err("{range} without {end}".to_owned()) } else { Ok(nodes) }
}

fn quoted(expression: &str) -> Option<String> {
    let quote = expression.chars().next().filter(|character| ['"', '\''].contains(character))?;
    let inside = expression.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inside.replace("\\n", "\n").replace("\\t", "\t").replace("\\\"", "\""))
}

fn steps(path: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches(['$', '@']);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            let (name, after) = word(after);
            steps.push(Step::Recursive(name));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('.') {
            let (name, after) = word(after);
            match name.as_str() {
                "*" => steps.push(Step::All),
                "" => {}
                _ => steps.push(Step::Key(name)),
            }
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing_bracket(after).ok_or_else(|| format!("unclosed [ in {path:?}"))?;
            steps.push(bracket(after[..end].trim())?);
            rest = &after[end + 1..];
        } else if steps.is_empty() {
            let (name, after) = word(rest);
            if name.is_empty() {
                return Err(format!("unexpected {rest:?} in the JSONPath template"));
            }
            steps.push(Step::Key(name));
            rest = after;
        } else {
            return Err(format!("unexpected {rest:?} in the JSONPath template"));
        }
    }
    Ok(steps)
}

/// A name up to the next `.` or `[`; `\.` is a dot inside it.
fn word(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => {
                if let Some((_, escaped)) = characters.next() {
                    name.push(escaped);
                }
            }
            '.' | '[' => return (name, &text[index..]),
            _ => name.push(character),
        }
    }
    (name, "")
}

fn closing_bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0usize, None);
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(index),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What stands between commas outside of quotes.
fn parts(inside: &str) -> Vec<&str> {
    let mut quote = None;
    let split = inside.split(|character: char| {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        quote.is_none() && character == ','
    });
    split.map(str::trim).collect()
}

fn bracket(inside: &str) -> Result<Step, String> {
    let bad = || format!("[{inside}] is not understood in the JSONPath template");
    if inside == "*" {
        return Ok(Step::All);
    }
    let parts = parts(inside);
    if parts.len() > 1 && !inside.starts_with('?') {
        let path = |part: &&str| match quoted(part) {
            // Quotes hold a whole path here.
            Some(path) => steps(&path),
            None => bracket(part).map(|step| vec![step]),
        };
        return parts.iter().map(path).collect::<Result<_, _>>().map(Step::Union);
    }
    if let Some(key) = quoted(inside) {
        return Ok(Step::Key(key.replace("\\.", ".")));
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        for operator in ["==", "!=", "<=", ">=", "<", ">"] {
            if let Some((left, right)) = filter.split_once(operator) {
                let right = right.trim();
                let value = match quoted(right) {
                    Some(text) => Value::String(text),
                    None => serde_json::from_str(right).map_err(|_| bad())?,
                };
                return Ok(Step::Filter(steps(left.trim())?, operator.to_owned(), value));
            }
        }
        return Ok(Step::Filter(steps(filter.trim())?, "exists".to_owned(), Value::Null));
    }
    if let Some((from, to)) = inside.split_once(':') {
        let bound = |text: &str| match text.trim() {
            "" => Ok(None),
            number => number.parse().map(Some).map_err(|_| bad()),
        };
        return Ok(Step::Slice(bound(from)?, bound(to)?));
    }
    inside.parse().map(Step::Index).map_err(|_| bad())
}

fn write(nodes: &[Node], current: &Value, out: &mut String) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Path(steps) => {
                let found = walk(steps, current)?;
                let shown: Vec<String> = found.into_iter().map(shown).collect();
                out.push_str(&shown.join(" "));
            }
            Node::Range(steps, body) => {
                for item in walk(steps, current)? {
                    write(body, item, out)?;
                }
            }
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Follows a path; what is not there is nothing, except for a place that a list does not have, which is an error as in kubectl.
fn walk<'a>(steps: &[Step], from: &'a Value) -> Result<Vec<&'a Value>, String> {
    let mut current = vec![from];
    for step in steps {
        if let Step::Index(index) = step {
            for length in current.iter().filter_map(|value| value.as_array()).map(|list| list.len() as i64) {
                if !(-length..length).contains(index) {
                    return Err(format!("array index out of bounds: index {index}, length {length}"));
                }
            }
        }
        current = current.into_iter().flat_map(|value| next(step, value)).collect();
    }
    Ok(current)
}

fn next<'a>(step: &Step, value: &'a Value) -> Vec<&'a Value> {
    let list = || value.as_array().map(Vec::as_slice).unwrap_or_default();
    let position = |index: i64| {
        if index < 0 { list().len() as i64 + index } else { index }
    };
    match step {
        Step::Key(key) => value.get(key).into_iter().collect(),
        Step::Index(index) => {
            usize::try_from(position(*index)).ok().and_then(|index| list().get(index)).into_iter().collect()
        }
        Step::Slice(from, to) => {
            let length = list().len();
            let clamp = |index: i64| usize::try_from(position(index)).unwrap_or(0).min(length);
            let (from, to) = (from.map_or(0, clamp), to.map_or(length, clamp));
            list().get(from..to).unwrap_or_default().iter().collect()
        }
        Step::Union(parts) => parts.iter().flat_map(|part| walk(part, value).unwrap_or_default()).collect(),
        Step::All => match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Recursive(name) => {
            let mut found = Vec::new();
            descend(value, name, &mut found);
            found
        }
        Step::Filter(path, operator, wanted) => {
            list().iter().filter(|item| holds(item, path, operator, wanted)).collect()
        }
    }
}

fn holds(item: &Value, path: &[Step], operator: &str, wanted: &Value) -> bool {
    let found = walk(path, item).unwrap_or_default();
    let ordered = |accepts: fn(std::cmp::Ordering) -> bool| {
        found.iter().any(|value| match (value, wanted) {
            (Value::Number(left), Value::Number(right)) => {
                left.as_f64().partial_cmp(&right.as_f64()).is_some_and(accepts)
            }
            (Value::String(left), Value::String(right)) => accepts(left.cmp(right)),
            _ => false,
        })
    };
    match operator {
        "==" => found.contains(&wanted),
        "!=" => !found.contains(&wanted),
        "<" => ordered(std::cmp::Ordering::is_lt),
        "<=" => ordered(std::cmp::Ordering::is_le),
        ">" => ordered(std::cmp::Ordering::is_gt),
        ">=" => ordered(std::cmp::Ordering::is_ge),
        _ => !found.is_empty(),
    }
}

fn descend<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if key == name {
                    found.push(value);
                }
                descend(value, name, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| descend(value, name, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_render_as_kubectls() {
        let document = json!({"items": [
            {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"metadata": {"name": "b"}}]});
        for (template, expected) in [
            ("{.items[0].metadata.name}", "a"),
            (".items[-1].metadata.name", "b"),
            ("{.items[*].metadata.name}", "a b"),
            ("{range .items[*]}{.metadata.name}{\"\\n\"}{end}", "a\nb\n"),
            ("{.items[0].metadata.labels.x\\.y/z}", "1"),
            ("{.items[0].metadata.labels['x.y/z']}", "1"),
            ("{.items[0].status.conditions[?(@.type==\"Ready\")].status}", "True"),
            ("{..name}", "a b"),
            ("{.missing}", ""),
            ("{.missing[0].name}", ""),
            ("{.items[0]['metadata.name','status.conditions[0].type']}", "a Ready"),
            ("{.items[0].metadata['name','labels']}", "a {\"x.y/z\":\"1\"}"),
            ("{.items[?(@.metadata.name>'a')].metadata.name}", "b"),
            ("name: {.items[0:1].metadata.name}", "name: a"),
        ] {
            assert_eq!(render(template, &document).expect(template), expected, "{template}");
        }
        let missing = render("{.items[2].metadata.name}", &document);
        assert!(missing.is_err_and(|error| error.contains("array index out of bounds: index 2, length 2")));
        assert!(render("{.a", &document).is_err() && render("{range .items[*]}", &document).is_err());
    }
}
