//! `--fix`: what would change in the files, as a diff; with `--write` it is changed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sagene_analysis::fix::FileChange;

use crate::exit::Failure;
use crate::output;
use crate::unified_diff;

/// Prints the diffs, and on stderr what each fix is for and how many of the findings are answered.
pub(super) fn show(changes: &[FileChange], answered: usize, findings: usize, write: bool) {
    for change in changes {
        output::data(&diff(change));
        for fix in &change.fixes {
            output::progress(&format!("[{}] ({}) {}", fix.code.id(), fix.object.origin(), fix.description));
        }
    }
    let after = match (changes, write) {
        ([], _) => "",
        (_, true) => " They were written.",
        (_, false) => " --write changes the files.",
    };
    output::progress(&format!("{answered} of {findings} finding(s) have one safe answer.{after}"));
}

fn diff(change: &FileChange) -> String {
    use colored::Colorize;
    let mut text =
        format!("{}\n{}\n", format!("--- {}", change.name).bold(), format!("+++ {}", change.name).bold());
    for line in unified_diff::hunks(&change.before, &change.after, unified_diff::CONTEXT).lines() {
        let styled = match line.as_bytes().first() {
            Some(b'@') => line.cyan(),
            Some(b'-') => line.red(),
            Some(b'+') => line.green(),
            _ => line.normal(),
        };
        text.push_str(&format!("{styled}\n"));
    }
    text
}

/// Writes all changes. Every file is looked at first: where one changed meanwhile, none is written.
pub(super) fn write(changes: &[FileChange]) -> Result<(), Failure> {
    let mut targets = Vec::new();
    for change in changes {
        if &*change.name == "-" {
            return Err(Failure::usage("--write cannot change standard input"));
        }
        let path = Path::new(&*change.name)
            .canonicalize()
            .with_context(|| format!("cannot read {}", change.name))?;
        check(change, &path)?;
        targets.push(path);
    }
    for (change, path) in changes.iter().zip(targets) {
        replace(&path, &change.after).with_context(|| format!("cannot write {}", change.name))?;
    }
    Ok(())
}

fn check(change: &FileChange, path: &Path) -> Result<(), Failure> {
    let now = fs::read(path).with_context(|| format!("cannot read {}", change.name))?;
    if now == change.before.as_bytes() {
        return Ok(());
    }
    Err(Failure::new(format!("{} was changed meanwhile; nothing was written", change.name))
        .hint("run the same command again"))
}

/// A new file in place of the old one, at once, with its permissions and owner.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside: PathBuf = path.with_file_name(format!(".{name}.{}.sagene", std::process::id()));
    let written = write_new(&beside, path, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Nothing to do about a rest that cannot be removed: the error says what happened.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_new(beside: &Path, original: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let metadata = fs::metadata(original)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(beside)?;
    file.write_all(text.as_bytes())?;
    // Only root may give files away; the permissions count in any case.
    let _ = fchown(&file, Some(metadata.uid()), Some(metadata.gid()));
    file.set_permissions(metadata.permissions())?;
    file.sync_all()
}
