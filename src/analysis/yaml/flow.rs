//! The quick reader: flow collections, which are JSON and a little more, and quoted scalars.

use super::block::{Reader, is_indicator};
use super::tree::{Content, Entry, Node};

/// Deeper nesting is left to the complete reader.
const DEEPEST: usize = 64;

impl<'t> Reader<'t> {
    /// A value in flow style. The reader stands behind it afterwards.
    pub(super) fn flow(&mut self) -> Option<Node<'t>> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let start = self.position;
        let content = match self.peek()? {
            b'{' => self.flow_map()?,
            b'[' => self.flow_list()?,
            b'"' | b'\'' => Content::Text(self.quoted()?),
            _ => Content::Plain(self.flow_plain()?),
        };
        self.depth -= 1;
        self.last = self.position;
        Some(Node { span: start..self.position, content })
    }

    /// Over blanks, line breaks and comments.
    fn gap(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.position += 1,
                Some(b'#') if matches!(self.bytes[self.position - 1], b' ' | b'\n' | b'\t') => {
                    let rest = &self.bytes[self.position..self.end];
                    let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    // A lone carriage return would end the comment.
                    let is_plain = memchr::memchr(b'\r', &rest[..length]).is_none();
                    self.position += if is_plain { length } else { rest.len() };
                }
                _ => return,
            }
        }
    }

    fn flow_map(&mut self) -> Option<Content<'t>> {
        let first = self.entries.len();
        self.position += 1;
        self.gap();
        while self.peek()? != b'}' {
            let entry = self.flow_entry()?;
            self.entries.push(entry);
            self.separator(b'}')?;
        }
        self.position += 1;
        Some(self.map_from(first))
    }

    fn flow_entry(&mut self) -> Option<Entry<'t>> {
        let start = self.position;
        let quoted = matches!(self.peek()?, b'"' | b'\'');
        let key = if quoted { self.quoted()? } else { self.flow_plain()? };
        let place = start..self.position;
        self.blanks();
        if self.peek()? != b':' || key == "<<" {
            return None;
        }
        self.position += 1;
        let spaced = matches!(self.peek()?, b' ' | b'\n' | b'\t' | b'\r');
        if !spaced && !quoted {
            return None;
        }
        self.gap();
        let at = self.position;
        let value = match self.peek()? {
            b',' | b'}' => Node { span: at..at, content: Content::Nothing },
            _ => self.flow()?,
        };
        Some(Entry { key, place, value })
    }

    fn flow_list(&mut self) -> Option<Content<'t>> {
        let first = self.items.len();
        self.position += 1;
        self.gap();
        while self.peek()? != b']' {
            let item = self.flow()?;
            self.items.push(item);
            self.separator(b']')?;
        }
        self.position += 1;
        Some(self.list_from(first))
    }

    /// A comma, or the closing bracket, which stays.
    fn separator(&mut self, close: u8) -> Option<()> {
        self.gap();
        let next = self.peek()?;
        if next == b',' {
            self.position += 1;
            self.gap();
            return Some(());
        }
        (next == close).then_some(())
    }

    /// A plain scalar in a flow collection. A line break in one is left to the complete reader.
    fn flow_plain(&mut self) -> Option<&'t str> {
        let start = self.position;
        let first = self.peek()?;
        if is_indicator(first)
            || (first == b'-' && !self.at(start + 1)?.is_ascii_alphanumeric() && self.at(start + 1)? != b'-')
        {
            return None;
        }
        let mut at = start;
        loop {
            match self.at(at)? {
                b',' | b']' | b'}' | b'\n' | b'\r' | b'\t' => break,
                b'[' | b'{' | b'?' => return None,
                b':' => match self.at(at + 1)? {
                    b' ' | b'\n' | b'\r' | b'\t' => break,
                    b',' | b'[' | b']' | b'{' | b'}' | b'?' => return None,
                    _ => at += 1,
                },
                b'#' if self.bytes[at - 1] == b' ' => break,
                _ => at += 1,
            }
        }
        let text = self.text[start..at].trim_end_matches(' ');
        self.position = start + text.len();
        Some(text)
    }

    /// A quoted scalar on one line.
    pub(super) fn quoted(&mut self) -> Option<&'t str> {
        let start = self.position + 1;
        if self.peek()? == b'\'' { self.single(start) } else { self.double(start) }
    }

    fn single(&mut self, start: usize) -> Option<&'t str> {
        let mut at = start;
        let mut doubled = false;
        loop {
            match self.at(at)? {
                b'\'' if self.at(at + 1) == Some(b'\'') => {
                    doubled = true;
                    at += 2;
                }
                b'\'' => break,
                b'\n' | b'\r' | b'\t' => return None,
                _ => at += 1,
            }
        }
        self.position = at + 1;
        let text = &self.text[start..at];
        Some(if doubled { self.arena.alloc_str(&text.replace("''", "'")) } else { text })
    }

    fn double(&mut self, start: usize) -> Option<&'t str> {
        let mut at = start;
        let mut text: Option<String> = None;
        let mut copied = start;
        loop {
            match self.at(at)? {
                b'"' => break,
                b'\n' | b'\r' | b'\t' => return None,
                b'\\' => {
                    let text = text.get_or_insert_with(String::new);
                    text.push_str(&self.text[copied..at]);
                    let (character, length) = self.escape(at + 1)?;
                    text.push(character);
                    at += 1 + length;
                    copied = at;
                }
                _ => at += 1,
            }
        }
        self.position = at + 1;
        let rest = &self.text[copied..at];
        Some(match text {
            Some(mut text) => {
                text.push_str(rest);
                self.arena.alloc_str(&text)
            }
            None => rest,
        })
    }

    /// What an escape stands for, and how many bytes follow its backslash.
    fn escape(&self, at: usize) -> Option<(char, usize)> {
        let character = match self.at(at)? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'u' => {
                let digits = self.text.get(at + 1..at + 5).filter(|_| at + 5 <= self.end)?;
                let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)?;
                return Some((char::from_u32(code)?, 5));
            }
            _ => return None,
        };
        Some((character, 1))
    }
}
