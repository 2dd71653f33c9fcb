//! The headers of one message: an ordered list of slices of one buffer.
//!
//! Names are lower case, order and repetition are kept. The buffer is reused from message to message, so a connection
//! in steady state allocates nothing. Changes append to the buffer; a removed header leaves a hole in it.

/// A slice of the buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    length: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: Span,
    value: Span,
}

/// The headers of one message.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeaderList {
    text: Vec<u8>,
    entries: Vec<Entry>,
}

impl HeaderList {
    /// Forgets everything, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
    }

    /// Copies bytes into the buffer without making them a header (method, path).
    pub(crate) fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        Span { start: start as u32, length: bytes.len() as u32 }
    }

    /// The bytes of a stored slice.
    pub(crate) fn slice(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.text.get(start..start + span.length as usize).unwrap_or_default()
    }

    fn store_lower(&mut self, name: &[u8]) -> Span {
        let span = self.store(name);
        self.text[span.start as usize..].make_ascii_lowercase();
        span
    }

    /// Adds a header at the end; the name is lower-cased.
    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) {
        let name = self.store_lower(name);
        let value = self.store(value);
        self.entries.push(Entry { name, value });
    }

    /// Sets a header to one value: the first of that name keeps its place, others go.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        let Some(first) = self.position(name) else {
            self.append(name, value);
            return;
        };
        let value = self.store(value);
        self.entries[first].value = value;
        let mut index = 0;
        let text = &self.text;
        self.entries.retain(|entry| {
            index += 1;
            index - 1 <= first || span_of(text, entry.name) != name
        });
    }

    /// Removes every header of that (lower case) name; says whether there was one.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.entries.len();
        let text = &self.text;
        self.entries.retain(|entry| span_of(text, entry.name) != name);
        before != self.entries.len()
    }

    /// Removes the headers for which `gone` says so.
    pub(crate) fn remove_if(&mut self, mut gone: impl FnMut(&[u8], &[u8]) -> bool) {
        let text = &self.text;
        self.entries.retain(|entry| !gone(span_of(text, entry.name), span_of(text, entry.value)));
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| span_of(&self.text, entry.name) == name)
    }

    /// The first value of a (lower case) name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.position(name).map(|index| self.slice(self.entries[index].value))
    }

    /// The first value as text; `None` also when it is not UTF-8.
    pub(crate) fn get_text(&self, name: &[u8]) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// All values of a name, in order.
    pub(crate) fn get_all<'s>(&'s self, name: &'s [u8]) -> impl Iterator<Item = &'s [u8]> + 's {
        self.iter().filter(move |(each, _)| *each == name).map(|(_, value)| value)
    }

    /// Whether a header of that name exists.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.position(name).is_some()
    }

    /// Whether one of the comma-separated tokens of a header equals `token`, case-insensitively.
    pub(crate) fn has_token(&self, name: &[u8], token: &[u8]) -> bool {
        self.get_all(name).any(|value| tokens(value).any(|each| each.eq_ignore_ascii_case(token)))
    }

    /// Appends to the first header of that name, comma-separated, or adds it.
    pub(crate) fn append_to(&mut self, name: &[u8], value: &[u8]) {
        match self.get(name).filter(|old| !old.is_empty()) {
            None => self.set(name, value),
            Some(old) => {
                let mut joined = Vec::with_capacity(old.len() + 1 + value.len());
                joined.extend_from_slice(old);
                joined.push(b',');
                joined.extend_from_slice(value);
                self.set(name, &joined);
            }
        }
    }

    /// Name and value of every header, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| (span_of(&self.text, entry.name), span_of(&self.text, entry.value)))
    }

    /// How many headers.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all names and values, four more for each header (the wire form of HTTP/1).
    pub(crate) fn byte_size(&self) -> usize {
        self.entries.iter().map(|entry| (entry.name.length + entry.value.length + 4) as usize).sum()
    }
}

fn span_of(text: &[u8], span: Span) -> &[u8] {
    let start = span.start as usize;
    text.get(start..start + span.length as usize).unwrap_or_default()
}

/// The comma-separated parts of a header value, trimmed.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}
