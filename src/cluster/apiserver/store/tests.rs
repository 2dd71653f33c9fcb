//! A store on a disk that is full for a while, and one whose file is not what it should be.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use super::*;

fn put(size: usize) -> impl FnOnce(Option<&Arc<Value>>) -> Result<Decision, StoreError> {
    move |_| Ok(Decision::Put(json!({"metadata": {}, "data": "x".repeat(size)})))
}

async fn write(store: &Store, name: &str, size: usize) -> Result<Written, StoreError> {
    let table: TableName = "configmaps".into();
    store.write(&table, &ObjectKey::new("default", name), Durability::Acknowledged, put(size)).await
}

/// A thread's own mounts: what is mounted goes with the threads that see it.
fn small_disk(folder: &Path) -> bool {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).is_ok()
        && mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).is_ok()
        && mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), Some("size=3m")).is_ok()
}

#[test]
fn a_full_disk_refuses_changes_loses_nothing_and_is_forgotten_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let run = move || {
        if !small_disk(&path) {
            eprintln!("skipped: mounting a small disk needs root");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_a_small_disk(&path));
    };
    std::thread::spawn(run).join().unwrap();
}

async fn on_a_small_disk(folder: &Path) {
    let store = Store::open(folder).unwrap();
    write(&store, "first", 10).await.unwrap();
    let ballast = folder.join("ballast");
    // As much as there is room for; the last part does not fit.
    let mut file = std::fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let mut kept = 0;
    let refused = loop {
        match write(&store, &format!("more-{kept}"), 50_000).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 100, "the disk never gets full");
    };
    assert!(matches!(&refused, StoreError::NotYetDurable(trouble) if trouble.full), "{refused:?}");
    assert!(refused.to_string().contains("objects.redb"), "{refused}");
    let again = write(&store, "again", 10).await;
    assert!(matches!(again, Err(StoreError::NotDurable(_))), "nothing more is taken meanwhile");
    assert!(store.get("configmaps", &ObjectKey::new("default", "again")).is_none());
    assert!(store.get("configmaps", &ObjectKey::new("default", "first")).is_some(), "reading goes on");
    assert!(!store.flush().await, "and nobody waits for ever");

    std::fs::remove_file(&ballast).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while let Err(error) = write(&store, "later", 10).await {
        assert!(std::time::Instant::now() < deadline, "there is room, and nothing is written: {error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    drop(store);
    let store = reopened(folder).await;
    for name in ["first", "later", &format!("more-{kept}")] {
        assert!(store.get("configmaps", &ObjectKey::new("default", name)).is_some(), "{name} is lost");
    }
}

/// The writer of the store before needs a moment to let go of the file.
async fn reopened(folder: &Path) -> Store {
    loop {
        match Store::open(folder) {
            Err(JournalError::InUse(_)) => tokio::task::yield_now().await,
            other => return other.unwrap(),
        }
    }
}

#[test]
fn a_file_that_is_damaged_or_from_the_future_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(OBJECTS_FILE);
    std::fs::write(&file, "no database").unwrap();
    let refused = Store::open(folder.path()).err().unwrap();
    assert!(matches!(refused, JournalError::Open { .. }), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), b"no database");

    std::fs::write(&file, "").unwrap();
    let refused = Store::open(folder.path()).err().unwrap();
    assert!(matches!(refused, JournalError::Empty(_)), "{refused}");
    assert!(refused.to_string().contains("objects.redb is empty (0 bytes)"), "{refused}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0);
    std::fs::remove_file(&file).unwrap();

    let database = redb::Database::create(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    let facts: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("facts");
    transaction.open_table(facts).unwrap().insert("format", 7).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = Store::open(folder.path()).err().unwrap();
    assert!(matches!(refused, JournalError::Format { found: 7, .. }), "{refused}");
}

#[tokio::test]
async fn a_file_that_was_not_complete_when_its_process_was_killed_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("objects.new"), "").unwrap();
    let store = Store::open(folder.path()).unwrap();
    write(&store, "first", 10).await.unwrap();
    drop(store);
    let store = reopened(folder.path()).await;
    assert!(store.get("configmaps", &ObjectKey::new("default", "first")).is_some());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
