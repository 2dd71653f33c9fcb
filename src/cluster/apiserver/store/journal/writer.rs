//! The thread that owns the database, and what it does when the disk refuses.
//!
//! A batch that cannot be written is kept and tried again until it can: readers have seen it already. Those who wait for it are told at
//! once that it is not on disk yet, and new changes are refused meanwhile, so that nothing piles up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use redb::Database;
use tokio::sync::oneshot;

use super::{FACTS, JournalEntry, Message, OBJECTS, settings};

/// Most entries of one transaction.
const BATCH_LIMIT: usize = 1024;
/// How long lazily durable entries may wait.
const LAZY_DELAY: Duration = Duration::from_millis(500);
/// Pause before a failed transaction is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Why the state file cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The file and what the system says.
    pub(crate) message: String,
    /// No room is left.
    pub(crate) full: bool,
}

/// What whoever waits for the disk is told.
pub(crate) type Durable = Result<(), Trouble>;

/// Whether changes can be kept.
#[derive(Default)]
pub(crate) struct Health {
    sick: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
}

impl Health {
    /// What is wrong, if anything.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        if !self.sick.load(Ordering::Acquire) {
            return None;
        }
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it was well before.
    fn set(&self, trouble: Option<Trouble>) -> bool {
        let sick = trouble.is_some();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        !self.sick.swap(sick, Ordering::AcqRel)
    }
}

/// What waits for one transaction.
#[derive(Default)]
struct Batch {
    entries: Vec<JournalEntry>,
    flushes: Vec<oneshot::Sender<Durable>>,
}

impl Batch {
    fn add(&mut self, message: Message) {
        match message {
            Message::Entry(entry) => self.entries.push(entry),
            Message::Flush(sender) => self.flushes.push(sender),
        }
    }

    fn is_urgent(&self) -> bool {
        !self.flushes.is_empty() || self.entries.iter().any(|entry| entry.acknowledge.is_some())
    }

    /// Tells everybody who waits; whoever does not wait any longer does not mind.
    fn tell(&mut self, durable: &Durable) {
        let entries = self.entries.iter_mut().filter_map(|entry| entry.acknowledge.take());
        entries.chain(self.flushes.drain(..)).for_each(|waiting| {
            let _ = waiting.send(durable.clone());
        });
    }
}

/// The thread's own.
pub(super) struct Writer {
    path: PathBuf,
    /// Absent between a failure and the next try: a database that failed once accepts nothing more.
    database: Option<Database>,
    receiver: mpsc::Receiver<Message>,
    health: Arc<Health>,
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        database: Database,
        receiver: mpsc::Receiver<Message>,
        health: Arc<Health>,
    ) -> Self {
        Self { path, database: Some(database), receiver, health }
    }

    /// Until the store is gone.
    pub(super) fn run(mut self) {
        while let Some(mut batch) = self.next_batch() {
            while let Err(error) = self.commit(&batch.entries) {
                self.database = None;
                let trouble = self.note(&error);
                batch.tell(&Err(trouble.clone()));
                if !self.wait(&mut batch, &trouble) {
                    return;
                }
            }
            if !self.health.set(None) {
                tracing::info!("the cluster's state is written again");
            }
            batch.tell(&Ok(()));
        }
    }

    /// Waits for entries; entries that nobody waits for may gather for a while. `None` when the store is gone.
    fn next_batch(&self) -> Option<Batch> {
        let mut batch = Batch::default();
        batch.add(self.receiver.recv().ok()?);
        let deadline = Instant::now() + LAZY_DELAY;
        while batch.entries.len() < BATCH_LIMIT {
            let patience = if batch.is_urgent() {
                Duration::ZERO
            } else {
                deadline.saturating_duration_since(Instant::now())
            };
            match self.receiver.recv_timeout(patience) {
                Ok(message) => batch.add(message),
                Err(_) => break,
            }
        }
        Some(batch)
    }

    /// Pauses before the next try; what was on its way meanwhile is told and joins the batch. `false` when the store is gone.
    fn wait(&self, batch: &mut Batch, trouble: &Trouble) -> bool {
        let deadline = Instant::now() + RETRY_DELAY;
        loop {
            match self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) => {
                    batch.add(message);
                    batch.tell(&Err(trouble.clone()));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => return true,
                Err(mpsc::RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn note(&self, error: &redb::Error) -> Trouble {
        let kind = match error {
            redb::Error::Io(error) => Some(error.kind()),
            _ => None,
        };
        let full = matches!(kind, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded));
        let message = format!("the cluster's state file {} cannot be written: {error}", self.path.display());
        let trouble = Trouble { message, full };
        if self.health.set(Some(trouble.clone())) {
            tracing::error!(%error, "the cluster's state cannot be written; refusing changes until it can");
        }
        trouble
    }

    fn commit(&mut self, entries: &[JournalEntry]) -> Result<(), redb::Error> {
        let Some(last) = entries.last() else { return Ok(()) };
        let database = match self.database.take() {
            Some(database) => database,
            None => settings().open(&self.path)?,
        };
        let transaction = self.database.insert(database).begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for entry in entries {
                let key = format!("{}\0{}\0{}", entry.table, entry.key.namespace, entry.key.name);
                match &entry.object {
                    Some(object) => {
                        let bytes = serde_json::to_vec(&**object).unwrap_or_default();
                        objects.insert(key.as_str(), bytes.as_slice())?;
                    }
                    None => {
                        objects.remove(key.as_str())?;
                    }
                }
            }
            transaction.open_table(FACTS)?.insert("revision", last.revision)?;
        }
        transaction.commit()?;
        Ok(())
    }
}
