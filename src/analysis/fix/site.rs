//! Where in a file something is changed: scalars, keys and entries by their path, with quotes, indentation and line ends as they are there.

use crate::input::Document;
use crate::path::{FieldPath, Step};
use crate::yaml::{self, Arena, Content, Entry, Node};

use super::edit::Edit;

/// A document that is to be changed.
pub(super) struct Site<'d> {
    text: &'d str,
    document: &'d Document,
    root: Node<'d>,
}

/// A block scalar of one line.
struct Block {
    /// Where its header begins.
    start: usize,
    /// Its text.
    line: std::ops::Range<usize>,
    end: End,
}

/// What becomes of the end of a block's last line.
enum End {
    /// It is no part of the text.
    Stripped,
    /// It ends the text.
    Line,
}

/// Characters that a plain scalar may have anywhere, and that mean nothing else.
fn is_plain(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && text.bytes().all(is_word)
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        )
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A word as a value of YAML: in quotes where it would mean something else.
fn plain(word: &str) -> String {
    if is_plain(word) { word.to_owned() } else { format!("\"{word}\"") }
}

impl<'d> Site<'d> {
    /// Reads the document; `None` where it is no YAML.
    pub(super) fn of(document: &'d Document, arena: &'d Arena) -> Option<Self> {
        let text = document.file.text.as_str();
        let root = yaml::tree(text, document.range.clone(), arena)?;
        Some(Self { text, document, root })
    }

    /// The node of a path, if all of it is there, and the node that holds it.
    fn node(&self, path: &FieldPath) -> Option<&Node<'d>> {
        let found = self.root.find(&path.below(&self.document.prefix));
        found.exact.then_some(found.node)
    }

    /// A scalar's text. Anchors, aliases, tags and blocks are left alone.
    pub(super) fn scalar(&self, path: &FieldPath) -> Option<&str> {
        let node = self.node(path)?;
        let source = &self.text[node.span.clone()];
        if source.starts_with(['&', '*', '!', '|', '>']) || source.contains('\n') || source.is_empty() {
            return None;
        }
        node.text()
    }

    /// The same of a block of one line, too: `>-`, and the text below.
    pub(super) fn word(&self, path: &FieldPath) -> Option<&str> {
        self.scalar(path).or_else(|| Some(&self.text[self.block(path)?.line]))
    }

    /// A block scalar of one line.
    fn block(&self, path: &FieldPath) -> Option<Block> {
        let node = self.node(path)?;
        let start = self.block_start(node.span.start)?;
        let (header, below) = self.text[start..self.document.range.end].split_once('\n')?;
        let indentation = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let mut lines = below.lines().filter(|line| !line.trim().is_empty());
        let line = lines.next()?;
        let content = line.trim();
        // A line that goes further in, or stands as far in, is of the block, too.
        let is_alone = lines.next().is_none_or(|next| indentation(next) < indentation(line));
        if !is_alone || node.text()?.trim_end_matches('\n') != content {
            return None;
        }
        let at = start + header.len() + 1 + below.find(content)?;
        let end = match header.trim_end() {
            "|-" | ">-" => End::Stripped,
            "|" | ">" => End::Line,
            _ => return None,
        };
        Some(Block { start, line: at..at + content.len(), end })
    }

    /// Where the header of a block scalar stands: one reader begins a block there, the other on the line below.
    fn block_start(&self, begin: usize) -> Option<usize> {
        if self.text[begin..].starts_with('|') {
            return Some(begin);
        }
        let above = self.text[..self.line_start(begin)].trim_end();
        let header =
            ["|-", ">-", "|", ">"].into_iter().find(|header| above.ends_with(&format!(" {header}")))?;
        Some(above.len() - header.len())
    }

    /// Another text for a scalar, quoted as it was. A block that ends its text with the end of a line, which no name has, becomes a plain
    /// scalar.
    pub(super) fn replace(&self, path: &FieldPath, new: &str) -> Option<Edit> {
        if let Some(block) = self.block(path).filter(|_| is_plain(new)) {
            return Some(match block.end {
                End::Stripped => Edit::new(block.line, new),
                End::Line => Edit::new(block.start..block.line.end, new),
            });
        }
        self.scalar(path)?;
        let span = self.node(path)?.span.clone();
        Some(Edit::new(span.clone(), self.quoted_like(&self.text[span], new)?))
    }

    /// `new` in the quotes of `old`; plain where `old` was and it may be.
    fn quoted_like(&self, old: &str, new: &str) -> Option<String> {
        if new.contains(['"', '\'', '\\', '\n']) {
            return None;
        }
        Some(match old.as_bytes().first()? {
            b'"' => format!("\"{new}\""),
            b'\'' => format!("'{new}'"),
            _ if is_plain(new) || (is_number(old) && is_number(new)) => new.to_owned(),
            _ => format!("\"{new}\""),
        })
    }

    /// The mapping that holds the last step of a path, and the entry of that step.
    fn entry(&self, path: &FieldPath) -> Option<(&Node<'d>, &[Entry<'d>], usize)> {
        let Some(Step::Key(key)) = path.steps().last() else { return None };
        let map = self.node(&path.parent()?)?;
        let Content::Map(entries) = &map.content else { return None };
        let index = entries.iter().position(|entry| entry.key == key)?;
        // A key that is there twice is not touched.
        let is_alone = entries.iter().filter(|entry| entry.key == key).count() == 1;
        is_alone.then_some((map, *entries, index))
    }

    /// Whether a mapping has a key.
    pub(super) fn has(&self, path: &FieldPath) -> bool {
        self.node(path).is_some()
    }

    /// How many elements a list has.
    pub(super) fn length(&self, path: &FieldPath) -> usize {
        match self.node(path).map(|node| &node.content) {
            Some(Content::List(items)) => items.len(),
            _ => 0,
        }
    }

    /// Another name for a key.
    pub(super) fn rename(&self, path: &FieldPath, new: &str) -> Option<Edit> {
        let (_, entries, index) = self.entry(path)?;
        let place = entries[index].place.clone();
        Some(Edit::new(place.clone(), self.quoted_like(&self.text[place], new)?))
    }

    /// `key: {within: value}` in place of an entry whose value is a scalar.
    pub(super) fn replace_entry(
        &self,
        path: &FieldPath,
        key: &str,
        within: &str,
        value: &str,
    ) -> Option<Edit> {
        self.scalar(path)?;
        let (map, entries, index) = self.entry(path)?;
        let entry = &entries[index];
        let mark = if self.is_json(map, entries) { "\"" } else { "" };
        let written = self.written(map, entries, key, &format!("{{{mark}{within}{mark}: {value}}}"));
        Some(Edit::new(entry.place.start..entry.value.span.end, written))
    }

    fn written(&self, map: &Node<'_>, entries: &[Entry<'_>], key: &str, value: &str) -> String {
        if self.is_json(map, entries) { format!("\"{key}\": {value}") } else { format!("{key}: {value}") }
    }

    fn is_flow(&self, node: &Node<'_>) -> bool {
        self.text[node.span.clone()].starts_with(['{', '['])
    }

    fn is_json(&self, map: &Node<'_>, entries: &[Entry<'_>]) -> bool {
        let first = entries.first().map(|entry| &self.text[entry.place.clone()]);
        self.is_flow(map)
            && (first.is_some_and(|key| key.starts_with('"')) || self.document.file.name.ends_with(".json"))
    }

    /// A new entry below the entry `path`, whose value is a scalar on a line. `value` is a word.
    pub(super) fn insert_after(&self, path: &FieldPath, key: &str, value: &str) -> Option<Edit> {
        self.scalar(path)?;
        let (map, entries, index) = self.entry(path)?;
        if entries.iter().any(|entry| entry.key == key) {
            return None;
        }
        let anchor = &entries[index];
        if self.is_flow(map) {
            let value = if self.is_json(map, entries) { format!("\"{value}\"") } else { plain(value) };
            let written = self.written(map, entries, key, &value);
            let end = anchor.value.span.end;
            return Some(Edit::new(end..end, format!(", {written}")));
        }
        let indentation = " ".repeat(self.column(anchor.place.start));
        self.insert_line(anchor.value.span.end, &format!("{indentation}{key}: {}", plain(value)))
    }

    /// The same with a mapping of one entry as the value: `labels:`, and on the next line `key: value`.
    pub(super) fn insert_map_after(
        &self,
        path: &FieldPath,
        map_key: &str,
        key: &str,
        value: &str,
    ) -> Option<Edit> {
        self.scalar(path)?;
        let (map, entries, index) = self.entry(path)?;
        let anchor = &entries[index];
        if self.is_flow(map) {
            let (key, value) = if self.is_json(map, entries) {
                (format!("\"{key}\""), format!("\"{value}\""))
            } else {
                (key.to_owned(), plain(value))
            };
            let written = self.written(map, entries, map_key, &format!("{{{key}: {value}}}"));
            let end = anchor.value.span.end;
            return Some(Edit::new(end..end, format!(", {written}")));
        }
        let indentation = " ".repeat(self.column(anchor.place.start));
        let line_end = self.line_end();
        let lines = format!("{indentation}{map_key}:{line_end}{indentation}  {key}: {}", plain(value));
        self.insert_line(anchor.value.span.end, &lines)
    }

    /// The first entry of a mapping that was written as `{}`.
    pub(super) fn fill(&self, map: &FieldPath, key: &str, value: &str) -> Option<Edit> {
        let node = self.node(map)?;
        let is_empty = matches!(&node.content, Content::Map(entries) if entries.is_empty());
        let written = if self.document.file.name.ends_with(".json") {
            format!("{{\"{key}\": \"{value}\"}}")
        } else {
            format!("{{{key}: {}}}", plain(value))
        };
        (is_empty && self.is_flow(node)).then(|| Edit::new(node.span.clone(), written))
    }

    /// The first entry of a mapping whose value is a scalar on a line: new entries go behind it.
    pub(super) fn anchor(&self, map: &FieldPath) -> Option<FieldPath> {
        let Content::Map(entries) = &self.node(map)?.content else { return None };
        let mut paths = entries.iter().map(|entry| map.key(entry.key));
        paths.find(|path| self.scalar(path).is_some())
    }

    /// Takes an entry out that is not the only one and whose value is a scalar.
    pub(super) fn remove(&self, path: &FieldPath) -> Option<Edit> {
        self.scalar(path)?;
        self.remove_entry(path)
    }

    /// Takes an entry out that is not the only one, with all of its value.
    pub(super) fn remove_entry(&self, path: &FieldPath) -> Option<Edit> {
        let (map, entries, index) = self.entry(path)?;
        if entries.len() < 2 {
            return None;
        }
        let part = entries[index].place.start..entries[index].value.span.end;
        if self.is_flow(map) {
            let next = entries.get(index + 1).map(|entry| entry.place.start);
            let before = index.checked_sub(1).map(|before| entries[before].value.span.end);
            return Some(Edit::new(self.flow_part(part, before, next)?, ""));
        }
        self.whole_lines(part, "")
    }

    /// One more element behind the last of a list: of several lines in block style, else as `flow` says of the mark around words.
    pub(super) fn append(
        &self,
        path: &FieldPath,
        lines: &[String],
        flow: impl Fn(&str) -> String,
    ) -> Option<Edit> {
        let list = self.node(path)?;
        let Content::List(items) = &list.content else { return None };
        let last = items.last()?;
        if self.is_flow(list) {
            let is_json =
                self.text[list.span.clone()].contains('"') || self.document.file.name.ends_with(".json");
            let flow = flow(if is_json { "\"" } else { "" });
            return Some(Edit::new(last.span.end..last.span.end, format!(", {flow}")));
        }
        let start = self.line_start(items.first()?.span.start);
        let indentation = &self.text[start..start + self.text[start..].find('-')?];
        if !indentation.trim().is_empty() {
            return None;
        }
        let lines: Vec<String> = lines.iter().map(|line| format!("{indentation}{line}")).collect();
        self.insert_line(last.span.end, &lines.join(self.line_end()))
    }

    /// True for an element that says the same as one before it.
    pub(super) fn repeats(&self, element: &FieldPath) -> bool {
        let (Some(Step::Index(index)), Some(list)) = (element.steps().last(), element.parent()) else {
            return false;
        };
        let Some(Content::List(items)) = self.node(&list).map(|list| &list.content) else { return false };
        let Some(own) = items.get(index).and_then(Node::to_value) else { return false };
        items.iter().take(index).any(|other| other.to_value().as_ref() == Some(&own))
    }

    /// Takes an element out of a list that has others.
    pub(super) fn remove_item(&self, path: &FieldPath) -> Option<Edit> {
        let Some(Step::Index(index)) = path.steps().last() else { return None };
        let list = self.node(&path.parent()?)?;
        let Content::List(items) = &list.content else { return None };
        let item = items.get(index)?;
        if items.len() < 2 {
            return None;
        }
        if self.is_flow(list) {
            let next = items.get(index + 1).map(|item| item.span.start);
            let before = index.checked_sub(1).map(|before| items[before].span.end);
            return Some(Edit::new(self.flow_part(item.span.clone(), before, next)?, ""));
        }
        let line = self.line_start(item.span.start);
        let dash = line + self.text[line..item.span.start].find('-')?;
        self.whole_lines(dash..item.span.end, "- ")
    }

    /// A part of a flow collection with the comma that belonged to it.
    fn flow_part(
        &self,
        part: std::ops::Range<usize>,
        before: Option<usize>,
        next: Option<usize>,
    ) -> Option<std::ops::Range<usize>> {
        let range = match (before, next) {
            (_, Some(next)) => part.start..next,
            (Some(before), None) => before..part.end,
            (None, None) => part,
        };
        // A comment between would go, too.
        (!self.text[range.clone()].contains('#')).then_some(range)
    }

    /// The lines of a part that begins its first line, but for blanks, and ends its last, but for a comment.
    fn whole_lines(&self, part: std::ops::Range<usize>, allowed: &str) -> Option<Edit> {
        let start = self.line_start(part.start);
        let lead = &self.text[start..part.start];
        if !lead.trim().is_empty() || (!allowed.is_empty() && !self.text[part.start..].starts_with('-')) {
            return None;
        }
        let end = self.text[part.end..].find('\n').map_or(self.text.len(), |length| part.end + length + 1);
        let rest = self.text[part.end..end].trim();
        (rest.is_empty() || rest.starts_with('#')).then(|| Edit::new(start..end, ""))
    }

    fn insert_line(&self, after: usize, line: &str) -> Option<Edit> {
        let end = self.text[after..].find('\n').map_or(self.text.len(), |length| after + length);
        let rest = self.text[after..end].trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            return None;
        }
        let at = if self.text[..end].ends_with('\r') { end - 1 } else { end };
        Some(Edit::new(at..at, format!("{}{line}", self.line_end())))
    }

    fn line_end(&self) -> &'static str {
        if self.text[self.document.range.clone()].contains("\r\n") { "\r\n" } else { "\n" }
    }

    fn line_start(&self, offset: usize) -> usize {
        self.text[..offset].rfind('\n').map_or(0, |at| at + 1)
    }

    fn column(&self, offset: usize) -> usize {
        self.text[self.line_start(offset)..offset].chars().count()
    }
}
