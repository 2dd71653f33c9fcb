//! Files and folders of a tar archive, written below one local path and nowhere else.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;

use crate::exit::Failure;
use crate::kubectl::session::error;
use crate::output;

/// Size of a block.
const BLOCK: usize = 512;

/// An entry of an archive.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    name: String,
    kind: u8,
    content: &'a [u8],
}

/// Writes what `tar cf - FROM` archived: FROM itself becomes `to`. Links are left out, as kubectl does.
pub(super) fn unpack(archive: &[u8], from: &str, to: &Path) -> Result<(), Failure> {
    let prefix: PathBuf = relative(from);
    for entry in entries(archive)? {
        let name = relative(&entry.name);
        let Ok(below) = name.strip_prefix(&prefix) else { continue };
        let target = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
        let writing = || format!("cannot write {}", target.display());
        match entry.kind {
            b'5' => fs::create_dir_all(&target).with_context(writing)?,
            b'0' | 0 => {
                if let Some(folder) = target.parent() {
                    fs::create_dir_all(folder).with_context(writing)?;
                }
                fs::write(&target, entry.content).with_context(writing)?;
            }
            _ => output::progress(&format!("warning: skipping {}: it is no file and no folder", entry.name)),
        }
    }
    Ok(())
}

/// Without the root, `.` and `..`: nothing is written beside the target.
fn relative(name: &str) -> PathBuf {
    Path::new(name).components().filter(|it| matches!(it, Component::Normal(_))).collect()
}

/// Reads an archive: POSIX ustar, pax records and GNU's long names.
fn entries(archive: &[u8]) -> Result<Vec<Entry<'_>>, Failure> {
    let broken = || error("the container's tar sent an archive that ends too early");
    let mut entries = Vec::new();
    let mut long_name = None;
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            return Ok(entries);
        }
        let size = octal(&header[124..136]).ok_or_else(broken)?;
        let content = after.get(..size).ok_or_else(broken)?;
        rest = after.get(size.next_multiple_of(BLOCK)..).unwrap_or_default();
        match header[156] {
            b'x' => long_name = pax_path(content).or(long_name),
            b'L' => long_name = Some(string(content)),
            b'g' => {}
            kind => {
                let name = long_name.take().unwrap_or_else(|| short_name(header));
                entries.push(Entry { name, kind, content });
            }
        }
    }
    if archive.is_empty() { Ok(entries) } else { Err(broken()) }
}

fn short_name(header: &[u8]) -> String {
    let name = string(&header[..100]);
    let prefix = string(&header[345..500]);
    let is_ustar = &header[257..263] == b"ustar\0";
    if is_ustar && !prefix.is_empty() { format!("{prefix}/{name}") } else { name }
}

/// Up to the first zero.
fn string(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn octal(field: &[u8]) -> Option<usize> {
    let text = string(field);
    usize::from_str_radix(text.trim(), 8).ok()
}

/// The value of `path` among records `LENGTH key=value\n`.
fn pax_path(records: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(records);
    let mut paths = text.lines().filter_map(|line| line.split_once(' ')?.1.strip_prefix("path="));
    paths.next_back().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubectl::cp::pack::pack;

    #[test]
    fn what_is_packed_can_be_unpacked_and_stays_below_its_target() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let long = "n".repeat(120);
        fs::create_dir_all(from.join("a")).expect("a folder");
        fs::write(from.join("a").join(&long), b"long").expect("a file");
        fs::write(from.join("b"), vec![7; 1000]).expect("a file");
        let archive = pack(&from, "tmp/../data").expect("packed");
        unpack(&archive, "/tmp/data", &to).expect("unpacked");
        assert_eq!(fs::read(to.join("a").join(&long)).expect("there"), b"long");
        assert_eq!(fs::read(to.join("b")).expect("there"), vec![7; 1000]);
        assert!(unpack(&archive[..700], "/tmp/data", &to).is_err(), "an archive that was cut");
    }
}
