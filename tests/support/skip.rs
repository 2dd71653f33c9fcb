//! Cases that a machine cannot run: said aloud, and counted by `tests/run`.

use std::io::Write;

/// Notes that a case is skipped, and why.
pub(crate) fn skip(case: &str, reason: &str) {
    eprintln!("skipped: {case}: {reason}");
    let Some(file) = std::env::var_os("SAGENE_SKIPPED") else { return };
    let line = format!("{case}: {reason}\n");
    let written = std::fs::OpenOptions::new().create(true).append(true).open(&file);
    written
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the list of skipped cases is written");
}
