//! What a newcomer types on a fresh clone means the product: `cargo run` has one program to run, and builds nothing else.

use std::process::Command;

use serde_json::Value;

use crate::root;

#[test]
fn cargo_run_without_a_package_means_the_product() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON of cargo metadata");
    let default_members = metadata["workspace_default_members"].as_array().expect("default members");
    let packages = metadata["packages"].as_array().expect("packages");
    let meant: Vec<(&Value, &Value)> = packages
        .iter()
        .filter(|package| default_members.contains(&package["id"]))
        .map(|package| (&package["name"], &package["default_run"]))
        .collect();
    assert_eq!(
        meant,
        [(&Value::from("sagene"), &Value::from("sagene"))],
        "the package, and the program it runs"
    );
}
