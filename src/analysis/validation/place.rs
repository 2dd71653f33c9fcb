//! Where a rule looks. Nearly every rule holds, so the place is written out only for one that is broken.

use crate::path::{FieldPath, Step};

/// A place in an object: a path, or steps from one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'p> {
    /// The object as a whole.
    Whole,
    /// This.
    Path(&'p FieldPath),
    /// One step further.
    Below(&'p Place<'p>, Step<'p>),
}

impl<'p> Place<'p> {
    /// One step further, into a field.
    pub(crate) const fn key(&'p self, key: &'p str) -> Self {
        Self::Below(self, Step::Key(key))
    }

    /// One step further, into a list.
    pub(crate) const fn index(&'p self, index: usize) -> Self {
        Self::Below(self, Step::Index(index))
    }

    /// Written out.
    pub(crate) fn path(&self) -> FieldPath {
        match self {
            Self::Whole => FieldPath::default(),
            Self::Path(path) => (*path).clone(),
            Self::Below(of, step) => of.path().step(*step),
        }
    }
}

impl<'p> From<&'p FieldPath> for Place<'p> {
    fn from(path: &'p FieldPath) -> Self {
        Self::Path(path)
    }
}
