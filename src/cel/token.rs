//! Words of an expression.

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Name(String),
    Text(String),
    Integer(i64),
    Double(f64),
    /// Operators and brackets.
    Sign(&'static str),
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+",
    "-", "*", "/", "%",
];

/// Takes an expression apart.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = skip(text);
    while let Some(first) = rest.chars().next() {
        let (token, length) = match text_start(rest) {
            Some(start) => quoted(rest, &start)?,
            None if first.is_ascii_digit() => number(rest)?,
            None if first.is_ascii_alphabetic() || first == '_' => name(rest),
            None => {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = sign.ok_or_else(|| format!("{first:?} means nothing here"))?;
                (Token::Sign(sign), sign.len())
            }
        };
        found.push(token);
        rest = skip(&rest[length..]);
    }
    Ok(found)
}

/// Without blanks and comments at the start.
fn skip(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(comment) = rest.strip_prefix("//") {
        rest = comment.split_once('\n').map_or("", |(_, next)| next).trim_start();
    }
    rest
}

fn name(text: &str) -> (Token, usize) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    (Token::Name(text[..end].to_owned()), end)
}

/// How a text begins: whether it is raw, its quotes, and the length of all that.
struct TextStart {
    raw: bool,
    quotes: &'static str,
    length: usize,
}

fn text_start(text: &str) -> Option<TextStart> {
    let prefix = text.bytes().take_while(|byte| b"rRbB".contains(byte)).count();
    if prefix > 2 {
        return None;
    }
    let raw = text[..prefix].contains(['r', 'R']);
    let quotes =
        ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| text[prefix..].starts_with(quotes))?;
    Some(TextStart { raw, quotes, length: prefix + quotes.len() })
}

fn quoted(text: &str, start: &TextStart) -> Result<(Token, usize), String> {
    let mut made = String::new();
    let mut at = start.length;
    loop {
        let rest = &text[at..];
        if rest.starts_with(start.quotes) {
            return Ok((Token::Text(made), at + start.quotes.len()));
        }
        let Some(character) = rest.chars().next() else { return Err("a string has no end".to_owned()) };
        if character == '\n' && start.quotes.len() == 1 {
            return Err("a string has no end on its line".to_owned());
        }
        if character == '\\' && !start.raw {
            let (escaped, length) = escape(&rest[1..])?;
            made.push(escaped);
            at += 1 + length;
        } else {
            made.push(character);
            at += character.len_utf8();
        }
    }
}

/// The character an escape stands for, and the length of the escape without its backslash.
fn escape(text: &str) -> Result<(char, usize), String> {
    let first = text.chars().next().unwrap_or(' ');
    let coded = |digits: usize, radix: u32, skipped: usize| {
        let code =
            text.get(skipped..skipped + digits).and_then(|digits| u32::from_str_radix(digits, radix).ok());
        let character = code.and_then(char::from_u32);
        character.map(|character| (character, skipped + digits))
    };
    let made = match first {
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'a' => Some(('\u{7}', 1)),
        'b' => Some(('\u{8}', 1)),
        'f' => Some(('\u{c}', 1)),
        'v' => Some(('\u{b}', 1)),
        '\\' | '\'' | '"' | '`' | '?' => Some((first, 1)),
        'x' | 'X' => coded(2, 16, 1),
        'u' => coded(4, 16, 1),
        'U' => coded(8, 16, 1),
        '0'..='3' => coded(3, 8, 0),
        _ => None,
    };
    made.ok_or_else(|| format!("the escape \\{first} is not known"))
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let length = hex.bytes().take_while(u8::is_ascii_hexdigit).count();
        let number =
            i64::from_str_radix(&hex[..length], 16).map_err(|_| "a number is not understood".to_owned())?;
        return Ok((Token::Integer(number), 2 + length + suffix(&hex[length..])));
    }
    let mut end = digits(0);
    let mut is_double = false;
    if text[end..].starts_with('.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
        is_double = true;
    }
    if text[end..].starts_with(['e', 'E']) {
        let signed = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(end + 1 + signed);
        if exponent > 0 {
            end += 1 + signed + exponent;
            is_double = true;
        }
    }
    if is_double {
        let number = text[..end].parse().map_err(|_| "a number is not understood".to_owned())?;
        return Ok((Token::Double(number), end));
    }
    let number = text[..end].parse().map_err(|_| format!("{} is too large", &text[..end]))?;
    Ok((Token::Integer(number), end + suffix(&text[end..])))
}

/// `5u` is an unsigned number; they are all the same here.
fn suffix(rest: &str) -> usize {
    usize::from(rest.starts_with(['u', 'U']))
}
