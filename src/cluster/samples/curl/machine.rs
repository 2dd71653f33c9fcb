//! The machine's own curl, for command lines that go beyond the small one.

use std::io::Error;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Becomes the machine's curl; returns only where there is none or it cannot run.
pub(super) fn become_it(arguments: &[String]) -> Option<Error> {
    let program = find()?;
    Some(Command::new(program).args(arguments).exec())
}

/// The first `curl` on `PATH` that is not this program.
fn find() -> Option<PathBuf> {
    let own = std::fs::canonicalize("/proc/self/exe").ok();
    let path = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&path).map(|folder| folder.join("curl"));
    candidates.into_iter().find(|file| std::fs::canonicalize(file).is_ok_and(|real| Some(real) != own))
}
