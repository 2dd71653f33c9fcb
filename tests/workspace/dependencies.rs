//! Crates depend as `docs/architecture.md` says.

use std::collections::{BTreeMap, BTreeSet};

use crate::{metadata, root};

const PREFIX: &str = "sagene-";

#[test]
fn crates_depend_only_as_the_architecture_says() {
    let allowed = allowed();
    let used = used();
    assert_eq!(
        allowed.keys().collect::<Vec<_>>(),
        used.keys().collect::<Vec<_>>(),
        "the table of docs/architecture.md names the crates of src/"
    );
    for (name, dependencies) in &used {
        let more: Vec<&String> = dependencies.difference(&allowed[name]).collect();
        assert!(more.is_empty(), "{name} uses {more:?}, which docs/architecture.md does not allow");
    }
}

#[test]
fn the_table_has_no_cycle() {
    let mut left = allowed();
    while !left.is_empty() {
        let free: Vec<String> =
            left.iter().filter(|(_, uses)| uses.is_empty()).map(|(name, _)| name.clone()).collect();
        assert!(!free.is_empty(), "these depend on each other: {left:?}");
        left.retain(|name, _| !free.contains(name));
        left.values_mut().for_each(|uses| uses.retain(|used| !free.contains(used)));
    }
}

/// The rows `| crate | may use | … |` of the section on dependencies.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with("Dependencies"))
        .expect("a section Dependencies");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().unwrap_or_default().to_owned();
        let uses = cells.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        (name, uses)
    })
    .collect()
}

/// What the crates of `src/` use of each other, tests left out.
fn used() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let ours = packages.iter().filter(|package| {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        manifest.starts_with(&*root().join("src").to_string_lossy())
    });
    ours.map(|package| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let names = dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str()?.strip_prefix(PREFIX).map(str::to_owned));
        let name = package["name"].as_str().unwrap_or_default();
        (name.trim_start_matches(PREFIX).to_owned(), names.collect())
    })
    .collect()
}
