//! The state file: one redb database, written by one thread that gathers what is waiting into one transaction and one flush.

mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::Value;
use tokio::sync::oneshot;

use super::TableName;
use super::table::ObjectKey;
use writer::Health;
use writer::Writer;
pub(super) use writer::{Durable, Trouble};

/// Name of the state file in the state folder.
pub const OBJECTS_FILE: &str = "objects.redb";

/// Key: `group/plural NUL namespace NUL name`. Value: the object as JSON.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// `format` and `revision`.
const FACTS: TableDefinition<'_, &str, u64> = TableDefinition::new("facts");
const FORMAT: u64 = 1;
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
    /// It is there with nothing in it. This program never leaves such a file: a new one gets its name when it is complete.
    #[error(
        "the cluster's state file {0} is empty (0 bytes): what the cluster held is not in it any more; put a copy of the file in its place, or move it away to start with an empty cluster"
    )]
    Empty(PathBuf),
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

/// A change on its way to the disk.
pub(super) struct JournalEntry {
    pub(super) table: TableName,
    pub(super) key: ObjectKey,
    /// `None` removes.
    pub(super) object: Option<Arc<Value>>,
    pub(super) revision: u64,
    pub(super) acknowledge: Option<oneshot::Sender<Durable>>,
}

enum Message {
    Entry(JournalEntry),
    Flush(oneshot::Sender<Durable>),
}

pub(super) struct Loaded {
    pub(super) revision: u64,
    pub(super) objects: Vec<(TableName, ObjectKey, Value)>,
}

pub(super) struct Journal {
    sender: mpsc::Sender<Message>,
    health: Arc<Health>,
}

impl Journal {
    pub(super) fn open(folder: &Path) -> Result<(Self, Loaded), JournalError> {
        let path = folder.join(OBJECTS_FILE);
        let failed =
            |source: redb::Error| JournalError::Open { path: path.clone(), source: Box::new(source) };
        let refused = |error| match error {
            redb::Error::DatabaseAlreadyOpen => JournalError::InUse(path.clone()),
            other => failed(other),
        };
        let database = match std::fs::metadata(&path) {
            Ok(file) if file.len() == 0 => return Err(JournalError::Empty(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => new_database(&path),
            // Whatever else is wrong with it, opening it says.
            _ => settings().open(&path).map_err(Into::into),
        };
        let database = database.map_err(refused)?;
        let found = prepare(&database).map_err(failed)?;
        if found != FORMAT {
            return Err(JournalError::Format { path, found });
        }
        let loaded = load(&database, &path)?;
        let health = Arc::new(Health::default());
        let (sender, receiver) = mpsc::channel();
        let writer = Writer::new(path, database, receiver, health.clone());
        std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(JournalError::Thread)?;
        Ok((Self { sender, health }, loaded))
    }

    pub(super) fn append(&self, entry: JournalEntry) {
        // A closed channel drops the entry with its acknowledgement, which the caller reads as "not durable".
        let _ = self.sender.send(Message::Entry(entry));
    }

    /// Why nothing can be written at the moment.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.health.trouble()
    }

    pub(super) async fn flush(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.sender.send(Message::Flush(sender)).is_ok()
            && receiver.await.is_ok_and(|durable| durable.is_ok())
    }
}

fn settings() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// A new state file. It is made under another name, so that one which a killed process left half made is never taken for the cluster's.
fn new_database(path: &Path) -> Result<Database, redb::Error> {
    let making = path.with_extension("new");
    match std::fs::remove_file(&making) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let database = settings().create(&making)?;
    prepare(&database)?;
    std::fs::rename(&making, path)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(database)
}

/// Makes what a new file lacks; a file of another format is left as it is. Returns the format.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut facts = transaction.open_table(FACTS)?;
        let found = facts.get("format")?.map(|format| format.value());
        match found {
            Some(FORMAT) => {}
            None => drop(facts.insert("format", FORMAT)?),
            Some(found) => {
                drop(facts);
                transaction.abort()?;
                return Ok(found);
            }
        }
        transaction.open_table(OBJECTS)?;
    }
    transaction.commit()?;
    Ok(FORMAT)
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
