//! The workspace itself: what lies at its root, which way its crates depend, and how its files are made.

mod dependencies;
mod files;
mod newcomer;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace's folder")
}
