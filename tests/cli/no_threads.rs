//! Commands where the system gives no thread, as with a full process table: an error that says so, never a panic.

use std::net::TcpListener;

use crate::program::{finish, sagene};

/// A stack that no memory has room for, so that every thread is refused.
const REFUSED: (&str, &str) = ("RUST_MIN_STACK", "100000000000000");

#[test]
fn netcat_names_what_it_could_not_read() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let mut command = sagene();
    command.env(REFUSED.0, REFUSED.1).args(["sample", "nc", "127.0.0.1", &port]);
    let output = finish(command, "");
    assert!(output.stderr.contains("cannot read standard input"), "{output:?}");
    assert_eq!(output.code, 1, "{output:?}");
}

#[test]
fn the_embedded_cluster_that_cannot_start_says_why() {
    let home = tempfile::tempdir().expect("a directory");
    let mut command = sagene();
    command.env("SAGENE_HOME", home.path().join("state")).env(REFUSED.0, REFUSED.1);
    command.args(["cluster", "start"]);
    let output = finish(command, "");
    assert!(output.stderr.contains("the cluster did not start: ") && output.code == 1, "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

#[test]
fn the_control_plane_says_why_it_does_not_start() {
    let mut command = sagene();
    command.env(REFUSED.0, REFUSED.1).args(["control-plane"]);
    let output = finish(command, "");
    assert!(output.stderr.contains("cannot start a thread: ") && output.code == 1, "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}
