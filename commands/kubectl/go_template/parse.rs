//! From the text of a template to its nodes: text, `{{actions}}` with pipelines, and the blocks `if`, `range` and `with`.

use serde_json::Value;

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// Prints what a pipeline comes to, unless it only sets a variable.
    Print(Pipeline),
    If(Pipeline, Vec<Self>, Vec<Self>),
    With(Pipeline, Vec<Self>, Vec<Self>),
    Range(Pipeline, Vec<Self>, Vec<Self>),
}

/// Calls, each with the result of the one before as its last argument.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pipeline {
    /// Variables that take the result: one, or for `range` the place and the element.
    pub(super) variables: Vec<String>,
    /// Whether the variables exist already (`=` instead of `:=`).
    pub(super) assigns: bool,
    pub(super) calls: Vec<Vec<Operand>>,
}

/// A word of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Literal(Value),
    /// `.a.b`; `.` alone has no names.
    Field(Vec<String>),
    /// `$x.a`; `$` alone has an empty name.
    Variable(String, Vec<String>),
    Function(String),
    /// `(…)`, and the fields behind it.
    Group(Pipeline, Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Action(String),
}

/// Reads a template.
pub(super) fn parse(template: &str) -> Result<Vec<Node>, String> {
    let mut pieces = pieces(template)?.into_iter();
    let (nodes, end) = block(&mut pieces)?;
    match end {
        None => Ok(nodes),
        Some(word) => Err(format!("unexpected {{{{{word}}}}}")),
    }
}

fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let (mut rest, mut trims) = (template, false);
    while let Some((text, after)) = rest.split_once("{{") {
        let end = closing(after).ok_or("an action {{ is not closed")?;
        let (action, behind) = (&after[..end], &after[end + 2..]);
        let trims_left = action.starts_with("- ") || action == "-";
        let text = if trims { text.trim_start() } else { text };
        pieces.push(Piece::Text(if trims_left { text.trim_end() } else { text }.to_owned()));
        trims = action.ends_with(" -") || action == "-";
        let action = action.strip_prefix('-').filter(|_| trims_left).unwrap_or(action);
        let action = action.strip_suffix('-').filter(|_| trims).unwrap_or(action).trim();
        if !action.starts_with("/*") {
            pieces.push(Piece::Action(action.to_owned()));
        }
        rest = behind;
    }
    pieces.push(Piece::Text(if trims { rest.trim_start() } else { rest }.to_owned()));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    Ok(pieces)
}

/// Where `}}` stands, outside of quoted text.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut escaped) = (None, false);
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), _) if open == character && !escaped => quote = None,
            (None, '"' | '`') => quote = Some(character),
            (None, '}') if text[index..].starts_with("}}") => return Some(index),
            _ => {}
        }
        escaped = false;
    }
    None
}

/// Nodes up to `end`, `else …` or the end of the template; the word that ended them.
fn block(pieces: &mut std::vec::IntoIter<Piece>) -> Result<(Vec<Node>, Option<String>), String> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(action) => action,
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
        match word {
            "end" | "else" => return Ok((nodes, Some(action))),
            "if" | "with" | "range" => nodes.push(branch(word, rest, pieces)?),
            "define" | "template" | "block" | "break" | "continue" => {
                return Err(format!("{{{{{word}}}}} is not supported"));
            }
            _ => nodes.push(Node::Print(pipeline(&action)?)),
        }
    }
    Ok((nodes, None))
}

fn branch(kind: &str, condition: &str, pieces: &mut std::vec::IntoIter<Piece>) -> Result<Node, String> {
    let condition = pipeline(condition)?;
    let (then, end) = block(pieces)?;
    let otherwise = match end.as_deref() {
        Some("end") => Vec::new(),
        Some("else") => match block(pieces)? {
            (nodes, Some(word)) if word == "end" => nodes,
            _ => return Err(format!("{{{{{kind}}}}} without {{{{end}}}}")),
        },
        Some(other) => {
            // `else if x` is an `if` inside, ended by the same `end`.
            let rest = other.strip_prefix("else").unwrap_or_default().trim();
            let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            vec![branch(word, rest, pieces)?]
        }
        None => return Err(format!("{{{{{kind}}}}} without {{{{end}}}}")),
    };
    match kind {
        "if" => Ok(Node::If(condition, then, otherwise)),
        "with" => Ok(Node::With(condition, then, otherwise)),
        "range" => Ok(Node::Range(condition, then, otherwise)),
        other => Err(format!("{{{{else {other}}}}} is not supported")),
    }
}

fn pipeline(text: &str) -> Result<Pipeline, String> {
    let mut words = words(text)?.into_iter().peekable();
    let parsed = calls(&mut words)?;
    match words.next() {
        None => Ok(parsed),
        Some(word) => Err(format!("unexpected {word:?} in {{{{{text}}}}}")),
    }
}

type Words = std::iter::Peekable<std::vec::IntoIter<String>>;

fn calls(words: &mut Words) -> Result<Pipeline, String> {
    let mut pipeline = Pipeline::default();
    let mut call = Vec::new();
    while let Some(word) = words.peek().cloned() {
        if word == ")" {
            break;
        }
        words.next();
        match word.as_str() {
            "|" => pipeline.calls.push(std::mem::take(&mut call)),
            ":=" | "=" | "," => {
                let Some(Operand::Variable(name, fields)) = call.pop().filter(|_| call.is_empty()) else {
                    return Err(format!("a variable must stand before {word:?}"));
                };
                if !fields.is_empty() {
                    return Err("a field cannot be set".to_owned());
                }
                pipeline.variables.push(name);
                pipeline.assigns = word == "=";
            }
            "(" => {
                let inner = calls(words)?;
                if words.next().as_deref() != Some(")") {
                    return Err("unclosed (".to_owned());
                }
                let fields = words.next_if(|word| word.starts_with('.') && word.len() > 1);
                call.push(Operand::Group(inner, fields.map(|word| names(&word)).unwrap_or_default()));
            }
            _ => call.push(operand(&word)?),
        }
    }
    pipeline.calls.push(call);
    if pipeline.calls.iter().any(Vec::is_empty) {
        return Err("missing value for command".to_owned());
    }
    Ok(pipeline)
}

fn operand(word: &str) -> Result<Operand, String> {
    if word.starts_with('"') {
        let read = serde_json::from_str(word).map_err(|_| format!("{word} is not a quoted text"))?;
        return Ok(Operand::Literal(read));
    }
    if let Some(raw) = word.strip_prefix('`') {
        return Ok(Operand::Literal(Value::from(raw.trim_end_matches('`'))));
    }
    if let Some(variable) = word.strip_prefix('$') {
        let (name, fields) = variable.split_once('.').unwrap_or((variable, ""));
        return Ok(Operand::Variable(name.to_owned(), names(fields)));
    }
    if word.starts_with('.') {
        return Ok(Operand::Field(names(word)));
    }
    match word {
        "true" | "false" => Ok(Operand::Literal(Value::from(word == "true"))),
        "nil" => Ok(Operand::Literal(Value::Null)),
        number if number.starts_with(|it: char| it.is_ascii_digit() || it == '-' || it == '+') => {
            let number = number.trim_start_matches('+');
            let read = serde_json::from_str(number).map_err(|_| format!("{number} is not a number"))?;
            Ok(Operand::Literal(read))
        }
        name => Ok(Operand::Function(name.to_owned())),
    }
}

fn names(path: &str) -> Vec<String> {
    path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Words of an action: quoted texts in one piece, punctuation apart.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => quoted(rest).ok_or_else(|| format!("unterminated quoted text in {{{{{text}}}}}"))?,
            '`' => rest[1..].find('`').map(|end| end + 2).ok_or("unterminated raw text")?,
            '(' | ')' | '|' | ',' | '=' => 1,
            ':' if rest.starts_with(":=") => 2,
            _ => {
                let stops = |it: char| it.is_whitespace() || "()|,:=\"`".contains(it);
                rest.find(stops).unwrap_or(rest.len()).max(first.len_utf8())
            }
        };
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

/// Length of a quoted text with its quotes.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Some(index + 1),
            _ => escaped = false,
        }
    }
    None
}
