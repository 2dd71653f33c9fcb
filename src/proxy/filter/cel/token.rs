//! Words of an expression.

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Integer(i64),
    Double(f64),
    /// Operators and brackets.
    Sign(&'static str),
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ".", ",", "?", ":", "+", "-", "*",
    "/", "%", "{", "}",
];

/// Takes an expression apart.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' => quoted(rest, first)?,
            c if c.is_ascii_digit() => number(rest)?,
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                let end = end.unwrap_or(rest.len());
                (Token::Name(rest[..end].to_owned()), end)
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| format!("{first:?} means nothing here"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        found.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

fn quoted(text: &str, quote: char) -> Result<(Token, usize), String> {
    let mut made = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            c if c == quote => return Ok((Token::Text(made), at + c.len_utf8())),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => made.push('\n'),
                Some('r') => made.push('\r'),
                Some('t') => made.push('\t'),
                Some(c @ ('\\' | '\'' | '"' | '`' | '?')) => made.push(c),
                other => return Err(format!("the escape \\{} is not known", other.unwrap_or(' '))),
            },
            c => made.push(c),
        }
    }
    Err("a text has no end".to_owned())
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let fraction =
        text[end..].strip_prefix('.').map(|rest| rest.chars().take_while(char::is_ascii_digit).count());
    if let Some(digits) = fraction.filter(|digits| *digits > 0) {
        let end = end + 1 + digits;
        let number = text[..end].parse().map_err(|_| "a number is not understood".to_owned())?;
        return Ok((Token::Double(number), end));
    }
    let number = text[..end].parse().map_err(|_| format!("{} is too large", &text[..end]))?;
    // `5u` is an unsigned number; they are all the same here.
    let unsigned = text[end..].starts_with(['u', 'U']);
    Ok((Token::Integer(number), end + usize::from(unsigned)))
}
