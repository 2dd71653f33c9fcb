//! What happened so far, by the original's names.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Most names that are counted; with detailed metrics callers could make any number of them.
const MOST: usize = 100_000;

/// Counters by name.
#[derive(Debug, Default)]
pub(super) struct Statistics(Mutex<BTreeMap<String, u64>>);

impl Statistics {
    pub(super) fn add(&self, name: String, by: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = all.get_mut(&name) {
            *value += by;
        } else if all.len() < MOST {
            all.insert(name, by);
        }
    }

    /// `name: value` lines, sorted.
    pub(super) fn shown(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }
}
