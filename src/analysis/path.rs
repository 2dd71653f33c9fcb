//! Where in an object: `spec.http[0].route[1].destination.host`.

use std::fmt;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a field or map entry.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// A place in an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<Step>);

impl FieldPath {
    /// Reads `a.b[0].c`. What does not parse as an index is a key, so this never fails.
    pub fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (key, rest) = part.find('[').map_or((part, ""), |at| part.split_at(at));
            if !key.is_empty() {
                steps.push(Step::Key(key.to_owned()));
            }
            let indexes = rest
                .split('[')
                .map(|index| index.trim_end_matches(']'))
                .filter_map(|index| index.parse().ok());
            steps.extend(indexes.map(Step::Index));
        }
        Self(steps)
    }

    /// One step further, into a field.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    /// One step further, into a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    /// The place that holds this one; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => write!(formatter, "{key}")?,
                Step::Key(key) => write!(formatter, ".{key}")?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}
