//! The files to look at: what is named, and everything readable below directories.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sagene_analysis::Input;
use sagene_analysis::input::{LoadError, load_bytes};

use crate::exit::Failure;

const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// What became of the files.
#[derive(Default)]
pub(super) struct Read {
    /// Documents that could not be read.
    pub(super) unreadable: Vec<LoadError>,
    /// Files that were left out.
    pub(super) notes: Vec<String>,
}

/// Reads all files into `input`. A path that is not there and a directory that cannot be read are errors.
pub(super) fn load(paths: &[String], input: &mut Input, namespace: &str) -> Result<Read, Failure> {
    let mut outcome = Read::default();
    for path in paths {
        let found = files(path)?;
        if found.skipped > 0 {
            outcome.notes.push(format!(
                "{path}: {} file(s) with other extensions than .json .yaml .yml were not read.",
                found.skipped
            ));
        }
        for file in found.files {
            outcome.unreadable.extend(load_bytes(input, &file, read(&file)?, namespace));
        }
    }
    Ok(outcome)
}

/// The content of a file; `-` is standard input.
pub(crate) fn read(file: &str) -> Result<Vec<u8>, Failure> {
    if file != "-" {
        return Ok(std::fs::read(file).with_context(|| format!("cannot read {file}"))?);
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("cannot read stdin")?;
    Ok(bytes)
}

/// What a path stands for.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files, in the order of their names; a path that is a file is taken whatever its extension, `-` as it is.
    pub(crate) files: Vec<String>,
    /// Files of other extensions.
    skipped: usize,
}

/// The files that a path stands for: itself, or all manifests below it.
pub(crate) fn files(path: &str) -> Result<Found, Failure> {
    if path.starts_with("http://") || path.starts_with("https://") {
        return Err(Failure::new(format!("{path}: reading manifests from URLs is not supported"))
            .hint(format!("curl -sL {path} | sagene analyze -")));
    }
    if path == "-" {
        return Ok(Found { files: vec![path.to_owned()], skipped: 0 });
    }
    let location = Path::new(path);
    let metadata = std::fs::metadata(location).with_context(|| format!("cannot read {path}"))?;
    if !metadata.is_dir() {
        return Ok(Found { files: vec![path.to_owned()], skipped: 0 });
    }
    let mut walk = Walk::default();
    walk.directory(location)?;
    let files = walk.files.iter().map(|file| file.display().to_string()).collect();
    Ok(Found { files, skipped: walk.skipped })
}

#[derive(Default)]
struct Walk {
    files: Vec<PathBuf>,
    skipped: usize,
    /// Directories by their real names: links may lead in circles.
    visited: BTreeSet<PathBuf>,
}

impl Walk {
    fn directory(&mut self, directory: &Path) -> Result<(), Failure> {
        let real =
            directory.canonicalize().with_context(|| format!("cannot read {}", directory.display()))?;
        if !self.visited.insert(real) {
            return Ok(());
        }
        let listing =
            std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
        let mut entries: Vec<_> = listing.collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if path.is_dir() {
                self.directory(&path)?;
            } else if EXTENSIONS.contains(&extension) {
                self.files.push(path);
            } else {
                self.skipped += 1;
            }
        }
        Ok(())
    }
}
