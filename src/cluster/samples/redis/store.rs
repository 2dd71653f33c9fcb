//! What the store holds: texts by key in each of sixteen databases, some until a time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many databases there are.
pub(super) const DATABASES: usize = 16;
/// Most bytes of keys and values together (the original's `maxmemory`).
const MEMORY: usize = 64 << 20;
/// What a key costs besides its bytes.
const OVERHEAD: usize = 96;

/// All databases.
#[derive(Default)]
pub(super) struct Store {
    databases: [HashMap<Vec<u8>, Value>; DATABASES],
    used: usize,
}

struct Value {
    text: Vec<u8>,
    until: Option<Instant>,
}

impl Value {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

/// There is no room for more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Until when a value is kept that replaces another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    Never,
    /// As long as the one before.
    Same,
    In(Duration),
}

fn size(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + OVERHEAD
}

impl Store {
    pub(super) fn get(&mut self, database: usize, key: &[u8]) -> Option<&[u8]> {
        self.live(database, key).map(|value| value.text.as_slice())
    }

    pub(super) fn set(
        &mut self,
        database: usize,
        key: &[u8],
        text: Vec<u8>,
        expiry: Expiry,
    ) -> Result<(), Full> {
        let needed = size(key, &text);
        if !self.has_room(database, key, needed) {
            self.sweep();
            if !self.has_room(database, key, needed) {
                return Err(Full);
            }
        }
        let before = self.live(database, key).and_then(|value| value.until);
        let until = match expiry {
            Expiry::Never => None,
            Expiry::Same => before,
            Expiry::In(time) => Instant::now().checked_add(time),
        };
        self.used += needed;
        if let Some(before) = self.databases[database].insert(key.to_vec(), Value { text, until }) {
            self.used -= size(key, &before.text);
        }
        Ok(())
    }

    /// Whether a value of this size may take the place of the one before.
    fn has_room(&mut self, database: usize, key: &[u8], needed: usize) -> bool {
        let freed = self.live(database, key).map_or(0, |value| size(key, &value.text));
        self.used - freed + needed <= MEMORY
    }

    pub(super) fn remove(&mut self, database: usize, key: &[u8]) -> bool {
        let found = self.live(database, key).is_some();
        if let Some(value) = self.databases[database].remove(key) {
            self.used -= size(key, &value.text);
        }
        found
    }

    /// Changes how long a value is kept; `false` where there is none.
    pub(super) fn expire(&mut self, database: usize, key: &[u8], time: Option<Duration>) -> bool {
        let Some(value) = self.live(database, key) else { return false };
        value.until = time.and_then(|time| Instant::now().checked_add(time));
        true
    }

    /// What is left of a value's time: `None` where there is no value, `Some(None)` where it stays.
    #[allow(clippy::option_option, reason = "no value and no limit are two things")]
    pub(super) fn left(&mut self, database: usize, key: &[u8]) -> Option<Option<Duration>> {
        let value = self.live(database, key)?;
        Some(value.until.map(|until| until.saturating_duration_since(Instant::now())))
    }

    /// Keys of a database, sorted.
    pub(super) fn keys(&mut self, database: usize) -> Vec<Vec<u8>> {
        self.sweep();
        let mut keys: Vec<_> = self.databases[database].keys().cloned().collect();
        keys.sort();
        keys
    }

    /// Keys of each database, and how many of them have a limit.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, usize)> {
        let live = |database: &HashMap<_, Value>| {
            let values = database.values().filter(|value| !value.is_over());
            values
                .fold((0, 0), |(all, limited), value| (all + 1, limited + usize::from(value.until.is_some())))
        };
        self.databases.iter().map(live)
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Empties one database, or all.
    pub(super) fn flush(&mut self, database: Option<usize>) {
        for (number, values) in self.databases.iter_mut().enumerate() {
            if database.is_none_or(|wanted| wanted == number) {
                self.used -= values.iter().map(|(key, value)| size(key, &value.text)).sum::<usize>();
                values.clear();
            }
        }
    }

    /// Throws away what is over.
    pub(super) fn sweep(&mut self) {
        let used = &mut self.used;
        for values in &mut self.databases {
            values.retain(|key, value| {
                let over = value.is_over();
                *used -= if over { size(key, &value.text) } else { 0 };
                !over
            });
        }
    }

    fn live(&mut self, database: usize, key: &[u8]) -> Option<&mut Value> {
        if self.databases[database].get(key)?.is_over() {
            if let Some(value) = self.databases[database].remove(key) {
                self.used -= size(key, &value.text);
            }
            return None;
        }
        self.databases[database].get_mut(key)
    }
}
