//! From a path to the place of its field, line by line: nothing is read but what is on the way.

use std::ops::Range;

use super::block::is_indicator;
use crate::path::{FieldPath, Step};

/// Where the field that `path` ends with stands, as the tree of the document would say: the value where it is a plain scalar on the
/// line of its key, else the key. `None` where that cannot be told so simply; the tree must be asked then.
///
/// The document must be one that [`super::quick`] reads, and in which no mapping has a key twice.
pub(crate) fn seek(text: &str, range: Range<usize>, path: &FieldPath) -> Option<Range<usize>> {
    let part = &text.as_bytes()[range.clone()];
    // Columns mean nothing within flow collections.
    if memchr::memchr2(b'{', b'[', part).is_some() {
        return None;
    }
    let begins_line =
        part.first() == Some(&b'\n') || range.start == 0 || text.as_bytes()[range.start - 1] == b'\n';
    let mut seeker =
        Seeker { bytes: &text.as_bytes()[..range.end], position: range.start, line: range.start };
    if !begins_line || seeker.content().is_none() {
        return None;
    }
    let mut steps = path.steps().peekable();
    while let Some(step) = steps.next() {
        match step {
            Step::Index(index) => seeker.item(index)?,
            Step::Key(key) if steps.peek().is_some() => {
                let place = seeker.entry(key)?;
                seeker.value(place.start - seeker.line)?;
            }
            Step::Key(key) => {
                let place = seeker.entry(key)?;
                return seeker.shown(place);
            }
        }
    }
    None
}

/// Stands on the first byte of a value.
struct Seeker<'t> {
    /// The file up to the end of the document.
    bytes: &'t [u8],
    position: usize,
    /// First byte of the line that `position` is on.
    line: usize,
}

impl Seeker<'_> {
    fn at(&self, position: usize) -> Option<u8> {
        self.bytes.get(position).copied()
    }

    fn column(&self) -> usize {
        self.position - self.line
    }

    fn is_gap(&self, position: usize) -> bool {
        matches!(self.at(position), None | Some(b' ' | b'\n'))
    }

    fn is_dash(&self) -> bool {
        self.at(self.position) == Some(b'-') && self.is_gap(self.position + 1)
    }

    fn blanks(&mut self) {
        let rest = &self.bytes[self.position..];
        self.position += rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
    }

    /// On to the first line, from this one on, that holds more than blanks and a comment; `None` at the end.
    fn content(&mut self) -> Option<()> {
        loop {
            self.blanks();
            match self.at(self.position)? {
                b'\n' | b'#' => self.next_line()?,
                _ => return Some(()),
            }
        }
    }

    fn next_line(&mut self) -> Option<()> {
        self.position += memchr::memchr(b'\n', &self.bytes[self.position..])? + 1;
        self.line = self.position;
        Some(())
    }

    /// On to the next content that stands at `column`; `None` where something further left comes first.
    fn sibling(&mut self, column: usize) -> Option<()> {
        loop {
            self.next_line()?;
            self.content()?;
            if self.column() <= column {
                return (self.column() == column).then_some(());
            }
        }
    }

    /// From a mapping to behind the colon of one of its keys, and where that key stands.
    fn entry(&mut self, key: &str) -> Option<Range<usize>> {
        if self.is_dash() {
            return None;
        }
        let column = self.column();
        let key = key.as_bytes();
        loop {
            let end = self.position + key.len();
            if self.bytes[self.position..].starts_with(key)
                && self.at(end) == Some(b':')
                && self.is_gap(end + 1)
            {
                let place = self.position..end;
                self.position = end + 1;
                return Some(place);
            }
            // A list may stand as far left as the key that it is the value of.
            self.sibling(column)?;
            while self.is_dash() {
                self.sibling(column)?;
            }
        }
    }

    /// From behind the colon of a key that stands at `column` to its value, which must be on lines below.
    fn value(&mut self, column: usize) -> Option<()> {
        self.blanks();
        if !matches!(self.at(self.position)?, b'\n' | b'#') {
            return None;
        }
        self.next_line()?;
        self.content()?;
        (self.column() > column || (self.column() == column && self.is_dash())).then_some(())
    }

    /// From a list to one of its items.
    fn item(&mut self, index: usize) -> Option<()> {
        let column = self.column();
        if !self.is_dash() {
            return None;
        }
        for _ in 0..index {
            self.sibling(column)?;
            if !self.is_dash() {
                return None;
            }
        }
        self.position += 1;
        self.blanks();
        if matches!(self.at(self.position)?, b'\n' | b'#') {
            self.next_line()?;
            self.content()?;
            return (self.column() > column).then_some(());
        }
        Some(())
    }

    /// From behind the colon of a key that stands at `place` to what is shown of the field.
    fn shown(&mut self, place: Range<usize>) -> Option<Range<usize>> {
        self.blanks();
        match self.at(self.position) {
            None | Some(b'\n' | b'#') => {
                let column = place.start - self.line;
                let below = self.next_line().and_then(|()| self.content());
                (below.is_none() || self.column() <= column || self.is_collection()).then_some(place)
            }
            Some(first) if is_indicator(first) => None,
            Some(_) => Some(self.position..self.position + self.plain().len()),
        }
    }

    /// Whether a mapping or a list begins here, for all that can be seen on this line.
    fn is_collection(&self) -> bool {
        let plain = self.plain();
        let is_map = plain.ends_with(b":") || memchr::memmem::find(plain, b": ").is_some();
        self.is_dash() || (is_map && plain.first().is_some_and(|first| !is_indicator(*first)))
    }

    /// The rest of the line without blanks and a comment at its end.
    fn plain(&self) -> &[u8] {
        let rest = &self.bytes[self.position..];
        let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let comment = line.windows(2).position(|pair| pair == b" #");
        line[..comment.unwrap_or(line.len())].trim_ascii_end()
    }
}
