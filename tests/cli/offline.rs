//! Commands that need no cluster.

use std::process::Command;

use crate::program::{Output, finish, sagene};

fn run(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().expect("temporary directory");
    let mut command: Command = sagene();
    command.env("HOME", home.path()).env("SAGENE_HOME", home.path().join("sagene")).args(arguments);
    finish(command, "")
}

#[test]
fn exit_codes_are_the_documented_ones() {
    assert_eq!(run(&["version", "--remote=false"]).code, 0);
    assert_eq!(run(&["--help"]).code, 0);
    let bare = run(&["dashboard"]);
    assert!(bare.code == 0 && bare.stdout.contains("Usage:") && bare.stderr.is_empty(), "{bare:?}");
    let elsewhere = run(&["version", "--context", "nosuch"]);
    assert!(elsewhere.stderr.contains("context \"nosuch\" does not exist"), "{elsewhere:?}");
    assert_eq!(run(&["nonsense"]).code, 64);
    assert_eq!(run(&["version", "--nonsense"]).code, 64);
    let nowhere = run(&["proxy-status"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("hint: sagene install"), "{nowhere:?}");
}

#[test]
fn profiles_are_listed_and_dumped() {
    let list = run(&["profile", "list"]).stdout;
    assert!(list.contains("    demo\n") && list.contains("    minimal\n"), "{list}");
    let dump = run(&["profile", "dump", "demo"]).stdout;
    assert!(dump.contains("accessLogFile: /dev/stdout"), "{dump}");
    let ambient = run(&["profile", "dump", "ambient"]);
    assert!(ambient.code == 1 && ambient.stderr.contains("not supported"), "{ambient:?}");
}

#[test]
fn manifests_are_generated_without_a_cluster() {
    let output = run(&["manifest", "generate", "--set", "profile=demo"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stdout.contains("name: istio-egressgateway\n"));
    assert!(output.stdout.ends_with("\n---\n"));
}

#[test]
fn analyze_fails_with_79_and_names_the_line() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("v.yaml");
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: a\nspec:\n  hosts: [a]\n  gateways:\n  - nope\n  http:\n  - route:\n    - destination:\n        host: a\n";
    std::fs::write(&file, text).expect("file");
    let path = file.to_str().expect("path");
    let output = run(&["analyze", "--use-kube=false", path]);
    assert_eq!(output.code, 79, "{output:?}");
    let expected = format!(
        "Error [IST0101] (VirtualService default/a {path}:8) Referenced gateway not found: \"nope\"\n"
    );
    assert!(output.stdout.contains(&expected), "{output:?}");
}
