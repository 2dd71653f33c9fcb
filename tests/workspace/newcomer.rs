//! What a newcomer types on a fresh clone means the product: `cargo run` has one program to run, and builds nothing else.

use serde_json::Value;

use crate::metadata;

#[test]
fn cargo_run_without_a_package_means_the_product() {
    let metadata = metadata();
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
