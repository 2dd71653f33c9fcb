//! Opens the user's browser.

use std::process::{Command, Stdio};

use crate::output;

/// Starts the platform's opener; without one the printed address has to do.
pub(super) fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if started.is_err() {
        output::progress(&format!("no {program} here; open the address in your browser"));
    }
}
