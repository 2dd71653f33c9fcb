//! The launcher against state directories in every condition, without starting a daemon.

use super::*;

fn temporary() -> (tempfile::TempDir, Option<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    (directory, Some(path))
}

#[test]
fn nothing_is_there_and_purging_nothing_is_no_error() {
    let (_guard, path) = temporary();
    assert_eq!(status(path.clone()).unwrap(), ClusterStatus::Absent);
    assert!(!purge(path.clone()).unwrap());
    assert!(!stop(path).unwrap());
}

#[test]
fn a_record_left_by_a_killed_daemon_is_not_believed() {
    let (_guard, path) = temporary();
    let directory = StateDirectory::resolve(path.clone()).unwrap();
    directory.create().unwrap();
    std::fs::create_dir(directory.api_server()).unwrap();
    // This test's own process: were the record believed, stop() would end it.
    let record = ClusterRecord {
        process_id: std::process::id(),
        process_start_time: process_start_time(std::process::id()).unwrap(),
        api_address: "127.0.0.1:1".parse().unwrap(),
        version: String::new(),
    };
    record.write(&directory.record()).unwrap();
    assert_eq!(status(path.clone()).unwrap(), ClusterStatus::Stopped);
    assert!(!stop(path.clone()).unwrap());
    assert!(!directory.record().exists());
    assert!(purge(path).unwrap());
    assert!(!directory.path().exists());
}

#[test]
fn a_held_lock_with_a_reused_process_id_reads_as_starting() {
    let (_guard, path) = temporary();
    let directory = StateDirectory::resolve(path.clone()).unwrap();
    directory.create().unwrap();
    let _lock = Lock::try_take(&directory.lock_file()).unwrap();
    ClusterRecord {
        process_id: std::process::id(),
        process_start_time: 1,
        api_address: "127.0.0.1:1".parse().unwrap(),
        version: String::new(),
    }
    .write(&directory.record())
    .unwrap();
    assert_eq!(status(path).unwrap(), ClusterStatus::Starting);
}

#[test]
fn a_directory_with_foreign_files_is_not_purged() {
    let (_guard, path) = temporary();
    let directory = StateDirectory::resolve(path.clone()).unwrap();
    directory.create().unwrap();
    std::fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(purge(path), Err(LauncherError::NotOurs { .. })));
    assert!(directory.path().join("thesis.txt").exists());
}

#[test]
fn a_process_that_ended_and_was_not_waited_for_is_not_alive() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let start = process_start_time(child.id()).unwrap();
    let record = ClusterRecord {
        process_id: child.id(),
        process_start_time: start,
        api_address: "127.0.0.1:1".parse().unwrap(),
        version: String::new(),
    };
    assert!(record.is_alive());
    child.kill().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while record.is_alive() {
        assert!(std::time::Instant::now() < deadline, "a killed process counts as alive");
        std::thread::yield_now();
    }
    child.wait().unwrap();
}
