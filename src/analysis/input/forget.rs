//! What a file told is taken out again: its text is another one by now.

use std::collections::BTreeSet;

use sagene_model::Kind;

use super::Input;
use super::kinds::discount;
use crate::message::{Message, ObjectRef};

impl Input {
    /// Takes out all that the file of this name told: its objects, and what was found on reading them.
    pub(crate) fn forget_file(&mut self, name: &str) {
        let is_told = |message: &Message| self.document(message).is_some_and(|it| *it.file.name == *name);
        let told: Vec<bool> = self.problems.iter().map(is_told).collect();
        let mut told = told.into_iter();
        self.problems.retain(|_| !told.next().unwrap_or_default());
        self.overlaid.retain(|overlaid| *overlaid.document.file.name != *name);
        let of_file = self.sources.iter().filter(|(_, document)| *document.file.name == *name);
        let objects: BTreeSet<ObjectRef> = of_file.map(|(object, _)| object.clone()).collect();
        self.sources.retain(|object, _| !objects.contains(object));
        self.untyped.retain(|object, _| !objects.contains(object));
        for object in objects {
            // References name no group: of two kinds of one name the other one is not there, or told by the same reference.
            for kind in Kind::ALL.iter().filter(|kind| kind.name() == object.kind) {
                self.snapshot.remove_any(*kind, &object.namespace, &object.name);
            }
            discount(&mut self.counts, &object.kind, 1);
        }
    }
}
