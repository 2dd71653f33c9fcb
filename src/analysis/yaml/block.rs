//! The quick reader: block collections and what stands in them on a line.

use std::ops::Range;

use bumpalo::Bump;

use super::tree::{Content, Entry, Node};

/// Deeper nesting is left to the complete reader, which has a limit of its own.
const DEEPEST: usize = 64;
/// Longer keys may not be keys.
const LONGEST_KEY: usize = 1000;

/// Reads one document. Every method answers `None` where the text is not of the simple kind; the reader is of no use then.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    /// Where the tree is kept.
    pub(super) arena: &'t Bump,
    pub(super) bytes: &'t [u8],
    pub(super) position: usize,
    /// Behind the last byte of the document.
    pub(super) end: usize,
    /// First byte of the line that `position` is on.
    line: usize,
    /// Column of the content at `position`; `None` at the end. Kept by [`Reader::content`].
    column: Option<usize>,
    /// Behind the last value that was read.
    pub(super) last: usize,
    pub(super) depth: usize,
    /// Items of lists that are not at their end yet, one list after the other.
    pub(super) items: Vec<Node<'t>>,
    /// The same of mappings.
    pub(super) entries: Vec<Entry<'t>>,
}

impl<'t> Reader<'t> {
    /// A reader of a part of `text`; the columns of its first line count from where that line begins.
    pub(super) fn new(text: &'t str, range: Range<usize>, arena: &'t Bump) -> Option<Self> {
        let part = text.get(range.clone())?;
        if !is_simple(part) {
            return None;
        }
        // Columns mean nothing in flow style, where a line may be as long as the file.
        let is_flow = part.trim_start().starts_with(['{', '[']);
        let line = if is_flow { range.start } else { text[..range.start].rfind('\n').map_or(0, |at| at + 1) };
        Some(Self {
            text,
            arena,
            bytes: text.as_bytes(),
            position: range.start,
            end: range.end,
            line,
            column: None,
            last: range.start,
            depth: 0,
            items: Vec::new(),
            entries: Vec::new(),
        })
    }

    pub(super) fn document(mut self) -> Option<Node<'t>> {
        self.content()?;
        let node = match (self.column, self.peek()) {
            (Some(_), Some(b'{' | b'[')) => {
                let node = self.flow()?;
                self.end_of_line()?;
                self.content()?;
                node
            }
            (Some(column), _) => self.block(column, 0)?,
            (None, _) => return None,
        };
        self.column.is_none().then_some(node)
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.at(self.position)
    }

    pub(super) fn at(&self, position: usize) -> Option<u8> {
        if position < self.end { Some(self.bytes[position]) } else { None }
    }

    /// True for a blank, a line's end or the document's.
    pub(super) fn is_gap(&self, position: usize) -> bool {
        matches!(self.at(position), None | Some(b' ' | b'\n'))
    }

    /// On to what is no blank.
    pub(super) fn blanks(&mut self) {
        let rest = &self.bytes[self.position..self.end];
        self.position += rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
    }

    /// On to the next content, over blanks, empty lines and comments.
    fn content(&mut self) -> Option<()> {
        loop {
            self.blanks();
            match self.peek() {
                None => {
                    self.column = None;
                    return Some(());
                }
                Some(b'\n') => {
                    self.position += 1;
                    self.line = self.position;
                }
                Some(b'#') => self.skip_line(),
                Some(b'\t' | b'\r') => return None,
                Some(b'%' | b'.') if self.position == self.line => return None,
                // A document's beginning: such a part is more than one document.
                Some(b'-')
                    if self.position == self.line && self.bytes[self.position..].starts_with(b"---") =>
                {
                    return None;
                }
                Some(_) => {
                    self.column = Some(self.position - self.line);
                    return Some(());
                }
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.bytes[self.position..self.end];
        self.position += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    /// What may follow a value on its line: blanks and a comment.
    pub(super) fn end_of_line(&mut self) -> Option<()> {
        let before = self.position;
        self.blanks();
        match self.peek() {
            Some(b'#') if self.position > before => self.skip_line(),
            None | Some(b'\n') => {}
            _ => return None,
        }
        Some(())
    }

    fn is_dash(&self) -> bool {
        self.peek() == Some(b'-') && self.is_gap(self.position + 1)
    }

    /// A value that begins at `column`; values must stand at `floor` at least.
    fn block(&mut self, column: usize, floor: usize) -> Option<Node<'t>> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let node = if self.is_dash() {
            self.list(column)
        } else {
            match self.key()? {
                Some((key, place)) => self.map(column, key, place),
                None => self.inline(floor),
            }
        };
        self.depth -= 1;
        node
    }

    fn list(&mut self, column: usize) -> Option<Node<'t>> {
        let start = self.position;
        let first = self.items.len();
        loop {
            self.position += 1;
            let item = self.item(column)?;
            self.items.push(item);
            match self.column {
                Some(next) if next == column && self.is_dash() => {}
                Some(next) if next > column => return None,
                _ => break,
            }
        }
        Some(Node { span: start..self.last, content: self.list_from(first) })
    }

    /// What follows a dash.
    fn item(&mut self, column: usize) -> Option<Node<'t>> {
        let dash = self.position - 1;
        self.blanks();
        match self.peek() {
            None | Some(b'\n' | b'#') => {
                self.last = dash + 1;
                self.content()?;
                match self.column {
                    Some(next) if next > column => self.block(next, column + 1),
                    _ => Some(Node { span: dash..dash + 1, content: Content::Nothing }),
                }
            }
            Some(_) => self.block(self.position - self.line, column + 1),
        }
    }

    fn map(&mut self, column: usize, key: &'t str, place: Range<usize>) -> Option<Node<'t>> {
        let start = place.start;
        let first = self.entries.len();
        let mut next = Some((key, place));
        while let Some((key, place)) = next {
            let value = self.value(column, place.end)?;
            self.entries.push(Entry { key, place, value });
            next = match self.column {
                Some(at) if at == column && !self.is_dash() => Some(self.key()??),
                Some(at) if at >= column => return None,
                _ => None,
            };
        }
        Some(Node { span: start..self.last, content: self.map_from(first) })
    }

    /// A list of the items that were read since there were `first`.
    pub(super) fn list_from(&mut self, first: usize) -> Content<'t> {
        Content::List(self.arena.alloc_slice_fill_iter(self.items.drain(first..)))
    }

    /// A mapping of the entries that were read since there were `first`.
    pub(super) fn map_from(&mut self, first: usize) -> Content<'t> {
        Content::Map(self.arena.alloc_slice_fill_iter(self.entries.drain(first..)))
    }

    /// What follows a key and its colon.
    fn value(&mut self, column: usize, key_end: usize) -> Option<Node<'t>> {
        let colon = self.position;
        self.blanks();
        if !matches!(self.peek(), None | Some(b'\n' | b'#')) {
            return self.inline(column + 1);
        }
        self.last = key_end + 1;
        self.content()?;
        match self.column {
            Some(next) if next > column => self.block(next, column + 1),
            Some(next) if next == column && self.is_dash() => self.list(column),
            _ => Some(Node { span: colon..colon, content: Content::Nothing }),
        }
    }

    /// The key at the position and where it stands, with the colon behind it consumed; `Some(None)`, nothing consumed, where none is.
    fn key(&mut self) -> Option<Option<(&'t str, Range<usize>)>> {
        let start = self.position;
        let (key, end) = match self.peek()? {
            b'"' | b'\'' => {
                let key = self.quoted()?;
                let end = self.position;
                self.blanks();
                if self.peek() != Some(b':') || !self.is_gap(self.position + 1) {
                    self.position = start;
                    return Some(None);
                }
                (key, end)
            }
            b'[' | b'{' | b'|' | b'>' => return Some(None),
            first if is_indicator(first) => return None,
            _ => match self.plain_key()? {
                Some(end) => (&self.text[start..end], end),
                None => return Some(None),
            },
        };
        self.position += 1;
        if end - start > LONGEST_KEY || key == "<<" { None } else { Some(Some((key, start..end))) }
    }

    /// Goes to the colon behind a plain key and says where the key ends; `Some(None)` where the line has none.
    fn plain_key(&mut self) -> Option<Option<usize>> {
        let start = self.position;
        let mut at = start;
        loop {
            at = self.plain_end(at);
            match self.at(at) {
                Some(b':') if self.is_gap(at + 1) => break,
                Some(b'\t' | b'\r') => return None,
                Some(b'#') if self.bytes[at - 1] == b' ' && at > start => return Some(None),
                None | Some(b'\n') => return Some(None),
                Some(_) => at += 1,
            }
        }
        self.position = at;
        let end = self.trimmed(start, at);
        if end == start { None } else { Some(Some(end)) }
    }

    /// The end of what stands from `start` to `end`, without blanks.
    fn trimmed(&self, start: usize, mut end: usize) -> usize {
        while end > start && self.bytes[end - 1] == b' ' {
            end -= 1;
        }
        end
    }

    /// A value that begins on this line. Nothing that belongs to it may follow on lines below, but for flow collections and literals.
    fn inline(&mut self, floor: usize) -> Option<Node<'t>> {
        let start = self.position;
        let content = match self.peek()? {
            b'|' => return self.literal(floor),
            b'"' | b'\'' => Content::Text(self.quoted()?),
            b'{' | b'[' => self.flow()?.content,
            first if is_indicator(first) || self.is_dash() => return None,
            _ => Content::Plain(self.plain()?),
        };
        self.last = self.position;
        let span = start..self.last;
        self.end_of_line()?;
        self.content()?;
        // More of the same value, or a mistake.
        if self.column.is_some_and(|next| next >= floor) {
            return None;
        }
        Some(Node { span, content })
    }

    /// The next byte from `at` on that may end a plain scalar, or the document's end.
    fn plain_end(&self, at: usize) -> usize {
        let rest = &self.bytes[at..self.end];
        at + rest.iter().position(|byte| MAY_END_PLAIN[usize::from(*byte)]).unwrap_or(rest.len())
    }

    fn plain(&mut self) -> Option<&'t str> {
        let start = self.position;
        let mut at = start;
        loop {
            at = self.plain_end(at);
            match self.at(at) {
                None | Some(b'\n') => break,
                Some(b'#') if self.bytes[at - 1] == b' ' => break,
                Some(b':') if self.is_gap(at + 1) => return None,
                Some(b'\t' | b'\r') => return None,
                Some(_) => at += 1,
            }
        }
        self.position = self.trimmed(start, at);
        if self.position == start { None } else { Some(&self.text[start..self.position]) }
    }

    /// `|` and `|-`: lines as they are, without their indentation.
    fn literal(&mut self, floor: usize) -> Option<Node<'t>> {
        let start = self.position;
        self.position += 1;
        let strip = self.peek() == Some(b'-');
        self.position += usize::from(strip);
        self.end_of_line()?;
        if self.peek() != Some(b'\n') {
            return None;
        }
        self.position += 1;
        let indentation = self.literal_indentation(floor)?;
        let mut text = String::new();
        while self.position < self.end {
            let rest = &self.text[self.position..self.end];
            let line = rest.find('\n').map(|end| &rest[..end])?;
            let blanks = line.len() - line.trim_start_matches(' ').len();
            if blanks < indentation && blanks < line.len() {
                break;
            }
            text.push_str(line.get(indentation..).unwrap_or_default());
            text.push('\n');
            if blanks < line.len() {
                self.last = self.position + line.len();
            }
            self.position += line.len() + 1;
        }
        let kept = text.trim_end_matches('\n').len();
        text.truncate(kept);
        if !strip {
            text.push('\n');
        }
        self.line = self.position;
        self.content()?;
        if self.column.is_some_and(|next| next >= floor) {
            return None;
        }
        Some(Node { span: start..self.last, content: Content::Text(self.arena.alloc_str(&text)) })
    }

    /// How far a literal is indented: as its first line that is not empty. No empty line before may be longer.
    fn literal_indentation(&self, floor: usize) -> Option<usize> {
        let mut widest = 0;
        for line in self.text[self.position..self.end].split('\n') {
            let blanks = line.len() - line.trim_start_matches(' ').len();
            if blanks < line.len() {
                let fits = blanks >= floor.max(1) && widest <= blanks && !line[blanks..].starts_with('\t');
                return fits.then_some(blanks);
            }
            widest = widest.max(blanks);
        }
        None
    }
}

/// Which bytes are looked at within a plain scalar.
const MAY_END_PLAIN: [bool; 256] = {
    let mut ends = [false; 256];
    ends[b':' as usize] = true;
    ends[b'#' as usize] = true;
    ends[b'\n' as usize] = true;
    ends[b'\r' as usize] = true;
    ends[b'\t' as usize] = true;
    ends
};

/// Characters that begin something else than a plain scalar.
pub(super) fn is_indicator(byte: u8) -> bool {
    matches!(
        byte,
        b'&' | b'*'
            | b'!'
            | b'|'
            | b'>'
            | b'%'
            | b'@'
            | b'`'
            | b'?'
            | b':'
            | b','
            | b']'
            | b'}'
            | b'#'
            | b'['
            | b'{'
            | b'"'
            | b'\''
    )
}

/// No control characters, and no line breaks but `\n`; in what looks like JSON `\r`, too.
fn is_simple(text: &str) -> bool {
    let is_json = text.trim_start().starts_with(['{', '[']);
    if text.is_ascii() {
        // Looked at to the end: without an early answer many bytes are looked at at once.
        let is_odd = |byte: u8| {
            (byte < b' ') & (byte != b'\n') & (byte != b'\t') & !(is_json & (byte == b'\r')) | (byte == 0x7f)
        };
        return !text.bytes().fold(false, |odd, byte| odd | is_odd(byte));
    }
    text.chars().all(|character| match character {
        '\r' => is_json,
        '\n' | '\t' | ' '..='~' => true,
        '\u{0}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    })
}
