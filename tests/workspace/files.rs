//! Files are small, say what they are for, and the root holds what it may.

use std::path::{Path, PathBuf};

use crate::root;

/// A file that is longer is two files.
const MOST_LINES: usize = 600;
const AT_THE_ROOT: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "commands",
    "profiles",
    "completions",
    "tests",
    "docs",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
];

#[test]
fn the_root_holds_nothing_else() {
    let entries = std::fs::read_dir(root()).expect("the root").flatten();
    let strangers: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target" && !AT_THE_ROOT.contains(&name.as_str()))
        .collect();
    assert!(strangers.is_empty(), "at the root: {strangers:?}");
}

#[test]
fn every_source_file_says_what_it_is_for_and_is_small() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in ["src", "commands", "tests"].iter().flat_map(|folder| sources(&root().join(folder))) {
        let text = std::fs::read_to_string(&path).expect("a source file");
        seen += 1;
        if !text.starts_with("//!") {
            faults.push(format!("{} does not begin with what it is for (//!)", path.display()));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            faults.push(format!("{} has {lines} lines", path.display()));
        }
        if path.ends_with("mod.rs") {
            faults.push(format!("{} belongs beside its folder", path.display()));
        }
    }
    assert!(seen > 100, "only {seen} source files were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a source folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
