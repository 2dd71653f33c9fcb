//! The guides of `docs/guides`, typed from top to bottom: each does what it says, on a mesh of the demo profile.
//!
//! `docs/guides/README.md` says how a guide is written. `SAGENE_GUIDES=canary,faults` runs these alone.

mod cluster;
mod expectation;
mod guide;
mod network;
mod run;
mod shell;

#[path = "../support/skip.rs"]
mod skip;

use cluster::Cluster;
use guide::{Guide, Stage};

#[test]
fn every_guide_does_what_it_says() {
    let guides = guide::all().unwrap_or_else(|problem| panic!("{problem}"));
    let wanted = std::env::var("SAGENE_GUIDES").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    let chosen = |guide: &Guide| wanted.is_empty() || wanted.contains(&guide.name.as_str());
    let guides: Vec<Guide> = guides.into_iter().filter(chosen).filter(Guide::has_its_programs).collect();
    network::enter_own();
    let Some(cluster) = Cluster::install() else { return };
    let mut failures = Vec::new();
    let before = cluster.objects();
    for stage in [Stage::Together, Stage::Alone] {
        let of_stage: Vec<&Guide> = guides.iter().filter(|guide| guide.stage == stage).collect();
        let at_once = if stage == Stage::Together { 3 } else { 1 };
        failures.extend(run::all(&cluster, &of_stage, at_once));
    }
    if failures.is_empty() {
        cluster.until_as_before(&before);
    }
    for own in guides.iter().filter(|guide| guide.stage == Stage::OwnCluster) {
        failures.extend(run::all(&Cluster::none(), &[own], 1));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_index_names_every_guide() {
    let index = std::fs::read_to_string(guide::folder().join("README.md")).expect("the index of guides");
    for guide in guide::all().unwrap_or_else(|problem| panic!("{problem}")) {
        assert!(index.contains(&format!("({}.md)", guide.name)), "README.md does not name {}.md", guide.name);
    }
}
