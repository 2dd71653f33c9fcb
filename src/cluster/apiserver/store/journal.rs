//! The state file: one redb database, written by one thread that gathers what is waiting into one transaction and one flush.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::Value;
use tokio::sync::oneshot;

use super::TableName;
use super::table::ObjectKey;

/// Name of the state file in the state folder.
pub const OBJECTS_FILE: &str = "objects.redb";

/// Key: `group/plural NUL namespace NUL name`. Value: the object as JSON.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// `format` and `revision`.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
const FORMAT: u64 = 1;
/// Most entries of one transaction.
const BATCH_LIMIT: usize = 1024;
/// How long lazily durable entries may wait.
const LAZY_DELAY: Duration = Duration::from_millis(500);
/// Pause before a failed transaction is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// redb's page cache; objects are served from memory, so it can be small.
const CACHE_BYTES: usize = 4 << 20;

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it open.
    #[error("{0} is in use by another process; is this cluster already running?")]
    InUse(PathBuf),
    /// It cannot be created or opened.
    #[error("cannot open the cluster's state file {path}; move it away to start with an empty cluster")]
    Open {
        /// The file.
        path: PathBuf,
        /// What redb says.
        #[source]
        source: Box<redb::Error>,
    },
    /// It holds something else, or a newer format.
    #[error(
        "the cluster's state file {path} has format {found}, this program reads format {FORMAT}; use the program that wrote it, or move the file away"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The format number in the file.
        found: u64,
    },
    /// One entry is not what this program writes.
    #[error(
        "the cluster's state file {path} is damaged at {key:?}; move it away to start with an empty cluster"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The entry.
        key: String,
    },
    /// The writer thread could not be started.
    #[error("cannot start the thread that writes the cluster's state")]
    Thread(#[source] std::io::Error),
}

pub(super) struct JournalEntry {
    pub(super) table: TableName,
    pub(super) key: ObjectKey,
    /// `None` removes.
    pub(super) object: Option<Arc<Value>>,
    pub(super) revision: u64,
    pub(super) acknowledge: Option<oneshot::Sender<bool>>,
}

enum Message {
    Entry(JournalEntry),
    Flush(oneshot::Sender<bool>),
}

pub(super) struct Loaded {
    pub(super) revision: u64,
    pub(super) objects: Vec<(TableName, ObjectKey, Value)>,
}

pub(super) struct Journal {
    sender: mpsc::Sender<Message>,
    healthy: Arc<AtomicBool>,
}

impl Journal {
    pub(super) fn open(folder: &Path) -> Result<(Self, Loaded), JournalError> {
        let path = folder.join(OBJECTS_FILE);
        let failed =
            |source: redb::Error| JournalError::Open { path: path.clone(), source: Box::new(source) };
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create(&path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => JournalError::InUse(path.clone()),
            other => failed(other.into()),
        })?;
        prepare(&database).map_err(failed)?;
        let loaded = load(&database, &path)?;
        let healthy = Arc::new(AtomicBool::new(true));
        let (sender, receiver) = mpsc::channel();
        let writer = Writer { database, receiver, healthy: healthy.clone() };
        std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(JournalError::Thread)?;
        Ok((Self { sender, healthy }, loaded))
    }

    pub(super) fn append(&self, entry: JournalEntry) {
        // A closed channel drops the entry with its acknowledgement, which the caller reads as "not durable".
        let _ = self.sender.send(Message::Entry(entry));
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub(super) async fn flush(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.sender.send(Message::Flush(sender)).is_ok() && receiver.await.unwrap_or(false)
    }
}

fn prepare(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        transaction.open_table(OBJECTS)?;
        let mut facts = transaction.open_table(FACTS)?;
        if facts.get("format")?.is_none() {
            facts.insert("format", FORMAT)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn load(database: &Database, path: &Path) -> Result<Loaded, JournalError> {
    let failed = |source: redb::Error| JournalError::Open { path: path.to_owned(), source: Box::new(source) };
    let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
    let facts = transaction.open_table(FACTS).map_err(|error| failed(error.into()))?;
    let fact = |name: &str| {
        facts
            .get(name)
            .map(|value| value.map_or(0, |value| value.value()))
            .map_err(|error| failed(error.into()))
    };
    let found = fact("format")?;
    if found != FORMAT {
        return Err(JournalError::Format { path: path.to_owned(), found });
    }
    let revision = fact("revision")?;
    let table = transaction.open_table(OBJECTS).map_err(|error| failed(error.into()))?;
    let mut objects = Vec::new();
    let mut names: std::collections::HashMap<String, TableName> = std::collections::HashMap::new();
    for entry in table.iter().map_err(|error| failed(error.into()))? {
        let (key, value) = entry.map_err(|error| failed(error.into()))?;
        let damaged = || JournalError::Damaged { path: path.to_owned(), key: key.value().replace('\0', " ") };
        let mut parts = key.value().splitn(3, '\0');
        let (Some(name), Some(namespace), Some(object_name)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(damaged());
        };
        let object = serde_json::from_slice(value.value()).map_err(|_| damaged())?;
        let name = names.entry(name.to_owned()).or_insert_with(|| name.into()).clone();
        objects.push((name, ObjectKey::new(namespace, object_name), object));
    }
    Ok(Loaded { revision, objects })
}

/// The thread that owns the database.
struct Writer {
    database: Database,
    receiver: mpsc::Receiver<Message>,
    healthy: Arc<AtomicBool>,
}

impl Writer {
    fn run(self) {
        while let Some((entries, flushes)) = self.next_batch() {
            self.commit_until_done(&entries);
            for entry in entries {
                if let Some(acknowledge) = entry.acknowledge {
                    let _ = acknowledge.send(true);
                }
            }
            for flush in flushes {
                let _ = flush.send(true);
            }
        }
    }

    /// Waits for entries; entries that nobody waits for may gather for a while. `None` when the store is gone.
    fn next_batch(&self) -> Option<(Vec<JournalEntry>, Vec<oneshot::Sender<bool>>)> {
        let mut entries = Vec::new();
        let mut flushes = Vec::new();
        let mut urgent = false;
        let mut message = Some(self.receiver.recv().ok()?);
        let deadline = std::time::Instant::now() + LAZY_DELAY;
        loop {
            match message.take() {
                Some(Message::Entry(entry)) => {
                    urgent |= entry.acknowledge.is_some();
                    entries.push(entry);
                }
                Some(Message::Flush(sender)) => {
                    urgent = true;
                    flushes.push(sender);
                }
                None => return Some((entries, flushes)),
            }
            if entries.len() >= BATCH_LIMIT {
                return Some((entries, flushes));
            }
            let patience = if urgent {
                Duration::ZERO
            } else {
                deadline.saturating_duration_since(std::time::Instant::now())
            };
            message = self.receiver.recv_timeout(patience).ok();
        }
    }

    /// A full disk must not lose what readers have already seen: the batch is kept and tried again, new writes are refused.
    fn commit_until_done(&self, entries: &[JournalEntry]) {
        while let Err(error) = self.commit(entries) {
            if self.healthy.swap(false, Ordering::Relaxed) {
                tracing::error!(%error, "the cluster's state cannot be written; refusing changes until it can");
            }
            std::thread::sleep(RETRY_DELAY);
        }
        self.healthy.store(true, Ordering::Relaxed);
    }

    fn commit(&self, entries: &[JournalEntry]) -> Result<(), redb::Error> {
        let Some(last) = entries.last() else { return Ok(()) };
        let transaction = self.database.begin_write()?;
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
