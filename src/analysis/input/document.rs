//! Files and the YAML documents in them.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use crate::path::FieldPath;

/// A file that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name as the user gave it; `-` for standard input.
    pub name: Arc<str>,
    /// Its content.
    pub text: String,
}

/// One document of a file, or one item of a `List` in it.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Bytes of the document in the file.
    pub range: Range<usize>,
    /// Where in the document the object stands: empty, or `items[n]` for an item of a `List`.
    pub prefix: FieldPath,
    /// Line of the file on which the document begins, from 1.
    line: usize,
    /// Whether the quick reader takes it, and no mapping in it has a key twice: [`crate::yaml::seek`] finds its fields then.
    pub(super) is_ordinary: bool,
}

impl Document {
    /// Which file, and where in it: what tells documents apart without a look at their texts.
    fn place(&self) -> (&str, usize, usize, &FieldPath) {
        (&self.file.name, self.range.start, self.range.end, &self.prefix)
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Document {}

impl Hash for Document {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place().hash(state);
    }
}

impl PartialOrd for Document {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Document {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl Document {
    /// All of a file that is one document.
    pub fn whole(file: Arc<SourceFile>) -> Self {
        let range = 0..file.text.len();
        Self { file, range, prefix: FieldPath::default(), line: 1, is_ordinary: false }
    }

    /// The document's text.
    pub fn text(&self) -> &str {
        &self.file.text[self.range.clone()]
    }

    /// Line of the file on which the document begins, from 1.
    pub const fn first_line(&self) -> usize {
        self.line
    }

    /// Line of a byte of the document, from 1.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.line + lines(&self.file.text[self.range.start..offset])
    }

    /// An item of the document, as a document of its own.
    pub(super) fn item(&self, range: Range<usize>, line: usize) -> Self {
        Self { file: self.file.clone(), range, prefix: FieldPath::default(), line, is_ordinary: false }
    }
}

/// How many lines a text ends.
pub(super) fn lines(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}

/// The documents of a file. A line that begins with `---` or `...` ends one: nothing else in YAML may begin a line so. In JSON files
/// objects follow one another without a sign between them.
pub(super) fn split(file: &Arc<SourceFile>) -> Vec<Document> {
    let mut documents = Splitter { file, documents: Vec::new(), counted: 0, line: 1 };
    // A byte order mark belongs to no document.
    let begin = if file.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    if file.name.ends_with(".json") && file.text[begin..].trim_start().starts_with('{') {
        json(&mut documents, begin);
        return documents.documents;
    }
    let bytes = file.text.as_bytes();
    let mut start = begin;
    for marker in markers(bytes, begin) {
        documents.push(start..marker);
        start = marker + 3;
    }
    documents.push(start..bytes.len());
    documents.documents
}

/// Where lines begin that end a document, from the line at `begin` on.
fn markers(bytes: &[u8], begin: usize) -> Vec<usize> {
    let lines = |sign: &'static [u8; 4]| memchr::memmem::find_iter(bytes, sign).map(|end| end + 1);
    let mut all: Vec<usize> = std::iter::once(begin)
        .chain(lines(b"\n---"))
        .chain(lines(b"\n..."))
        .filter(|line| is_marker(&bytes[*line..]))
        .collect();
    all.sort_unstable();
    all
}

fn is_marker(line: &[u8]) -> bool {
    (line.starts_with(b"---") || line.starts_with(b"..."))
        && line.get(3).is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Objects one after the other; what follows the first mistake is one more document, which will not parse.
fn json(documents: &mut Splitter<'_>, begin: usize) {
    let text = &documents.file.text[begin..];
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let mut start = 0;
    while let Some(Ok(_)) = stream.next() {
        documents.push(begin + start..begin + stream.byte_offset());
        start = stream.byte_offset();
    }
    documents.push(begin + start..begin + text.len());
}

struct Splitter<'f> {
    file: &'f Arc<SourceFile>,
    documents: Vec<Document>,
    /// Up to where lines are counted, and how many begin before.
    counted: usize,
    line: usize,
}

impl Splitter<'_> {
    fn push(&mut self, range: Range<usize>) {
        let text = &self.file.text[range.clone()];
        let is_blank = |line: &str| {
            let line = line.trim();
            line.is_empty() || line.starts_with(['#', '%'])
        };
        if text.lines().all(is_blank) {
            return;
        }
        self.line += lines(&self.file.text[self.counted..range.start]);
        self.counted = range.start;
        self.documents.push(Document {
            file: self.file.clone(),
            range,
            prefix: FieldPath::default(),
            line: self.line,
            is_ordinary: false,
        });
    }
}
