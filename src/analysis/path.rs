//! Where in an object: `spec.http[0].route[1].destination.host`.

use std::cmp::Ordering;
use std::fmt::{self, Write};

use smallvec::SmallVec;

/// One step down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step<'p> {
    /// Into a field or map entry.
    Key(&'p str),
    /// Into a list.
    Index(usize),
}

/// Begins a step into a field.
const KEY: char = '\u{1}';
/// Begins a step into a list; decimal digits follow.
const INDEX: char = '\u{2}';

impl Step<'_> {
    /// Bytes that it takes in a path, or a few more.
    fn room(self) -> usize {
        match self {
            Self::Key(key) => 1 + key.len(),
            Self::Index(index) => 2 + index.checked_ilog10().unwrap_or_default() as usize,
        }
    }

    fn write(self, steps: &mut String) {
        match self {
            Self::Key(key) => {
                steps.push(KEY);
                // The two characters that begin steps cannot be part of one; no field of any kind has them.
                if key.bytes().any(|byte| matches!(char::from(byte), KEY | INDEX)) {
                    steps.extend(key.chars().filter(|character| !matches!(*character, KEY | INDEX)));
                } else {
                    steps.push_str(key);
                }
            }
            Self::Index(index) => {
                steps.push(INDEX);
                match u8::try_from(index) {
                    Ok(digit @ 0..=9) => steps.push(char::from(b'0' + digit)),
                    // Writing to a string cannot fail.
                    _ => drop(write!(steps, "{index}")),
                }
            }
        }
    }
}

/// A place in an object. One allocation, however deep: analysis of a large mesh makes many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(Box<str>);

impl FieldPath {
    /// Reads `a.b[0].c`. What does not parse as an index is a key, so this never fails.
    pub fn parse(text: &str) -> Self {
        let mut steps = String::with_capacity(text.len() + 1);
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (key, rest) = part.find('[').map_or((part, ""), |at| part.split_at(at));
            if !key.is_empty() {
                steps.push(KEY);
                steps.push_str(key);
            }
            let indexes = rest.split('[').map(|index| index.trim_end_matches(']'));
            for index in indexes.filter(|index| index.parse::<usize>().is_ok()) {
                steps.push(INDEX);
                steps.push_str(index);
            }
        }
        Self(steps.into_boxed_str())
    }

    /// One step further, into a field.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key))
    }

    /// One step further, into a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    /// One step further.
    #[must_use]
    pub(crate) fn step(&self, step: Step<'_>) -> Self {
        let mut steps = String::with_capacity(self.0.len() + step.room());
        steps.push_str(&self.0);
        step.write(&mut steps);
        Self(steps.into_boxed_str())
    }

    /// The place that holds this one; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let end = self.0.rfind([KEY, INDEX])?;
        Some(Self(self.0[..end].into()))
    }

    /// True for the object as a whole.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This place, seen from the one that holds the object: `prefix` and then the steps of this.
    #[must_use]
    pub fn below(&self, prefix: &Self) -> Self {
        Self(format!("{}{}", prefix.0, self.0).into_boxed_str())
    }

    /// This place, seen from `prefix`; `None` where it is elsewhere. The reverse of [`FieldPath::below`].
    pub fn within(&self, prefix: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&*prefix.0)?;
        let is_whole = rest.is_empty() || rest.starts_with([KEY, INDEX]);
        is_whole.then(|| Self(rest.into()))
    }

    /// The steps, from the top down.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let mut rest: &str = &self.0;
        std::iter::from_fn(move || {
            let kind = rest.chars().next()?;
            let body = &rest[1..];
            let begins = |byte: u8| matches!(char::from(byte), KEY | INDEX);
            let end = body.bytes().position(begins).unwrap_or(body.len());
            let (step, after) = body.split_at(end);
            rest = after;
            Some(if kind == INDEX { Step::Index(step.parse().unwrap_or_default()) } else { Step::Key(step) })
        })
    }
}

impl<'p> FromIterator<Step<'p>> for FieldPath {
    fn from_iter<I: IntoIterator<Item = Step<'p>>>(all: I) -> Self {
        let all: SmallVec<[Step<'p>; 16]> = all.into_iter().collect();
        // At its exact length, so that it need not move when it becomes a path.
        let mut steps = String::with_capacity(all.iter().map(|step| step.room()).sum());
        all.iter().for_each(|step| step.write(&mut steps));
        Self(steps.into_boxed_str())
    }
}

impl PartialOrd for FieldPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FieldPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.steps().cmp(other.steps())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.steps().enumerate() {
            match step {
                Step::Key(key) if position == 0 => write!(formatter, "{key}")?,
                Step::Key(key) => write!(formatter, ".{key}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_order_and_text() {
        let path = FieldPath::parse("spec.http[10]").key("app.kubernetes.io/name").index(2);
        assert_eq!(path.to_string(), "spec.http[10].app.kubernetes.io/name[2]");
        assert_eq!(
            path.steps().collect::<Vec<_>>(),
            [
                Step::Key("spec"),
                Step::Key("http"),
                Step::Index(10),
                Step::Key("app.kubernetes.io/name"),
                Step::Index(2)
            ]
        );
        assert_eq!(path.parent().and_then(|it| it.parent()), Some(FieldPath::parse("spec.http[10]")));
        assert_eq!(
            FieldPath::parse("http[1]").below(&FieldPath::parse("spec")),
            FieldPath::parse("spec.http[1]")
        );
        assert!(FieldPath::parse("a[9]") < FieldPath::parse("a[10]"));
        assert!(FieldPath::default().parent().is_none() && FieldPath::default().is_empty());
    }
}
