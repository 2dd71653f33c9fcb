//! Installing, as far as a cluster without nodes goes, and removing it again.

use crate::program::Output;
use crate::server::Server;

/// Installs as far as it goes. On a busy machine the definitions may need longer than the second they get: the same command continues then.
fn install(server: &Server) -> Output {
    let install = || server.run(&["install", "--set", "profile=minimal", "-y", "--readiness-timeout", "1s"]);
    let mut outputs = std::iter::repeat_with(install).take(60);
    let established = |output: &Output| !output.stderr.contains("customresourcedefinition/");
    outputs.find(established).expect("the definitions are established")
}

#[test]
fn what_is_not_ready_in_time_is_named_with_a_command_that_tells_more() {
    let server = Server::start();
    let output = server.run(&["install", "--set", "profile=minimal", "-y", "--readiness-timeout", "0s"]);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("hint: sagene kubectl describe customresourcedefinition/"), "{output:?}");
}

#[test]
fn install_applies_everything_and_says_what_it_waits_for() {
    let server = Server::start();
    let output = install(&server);
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stderr.contains("Istio core installed"), "{output:?}");
    assert!(output.stderr.contains("deployment/istiod was not ready within 1 s"), "{output:?}");
    let found = server.run(&["kubectl", "-n", "istio-system", "get", "deploy,cm", "-o", "name"]);
    assert!(found.stdout.contains("deployment.apps/istiod\n"), "{found:?}");
    assert!(found.stdout.contains("configmap/istio-sidecar-injector\n"), "{found:?}");
}

#[test]
fn uninstall_purge_leaves_nothing_of_ours() {
    let server = Server::start();
    install(&server);
    let tagged = server.run(&["tag", "set", "prod", "--revision", "default"]);
    assert_eq!(tagged.code, 0, "{tagged:?}");
    let output = server.run(&["uninstall", "--purge", "-y"]);
    assert_eq!(output.code, 0, "{output:?}");
    let webhooks = server.run(&["kubectl", "get", "mutatingwebhookconfigurations", "-o", "name"]);
    assert_eq!(webhooks.stdout, "", "a tag is left: {webhooks:?}");
    let labels = "operator.istio.io/component";
    for kinds in ["deploy,svc,cm,sa,role,rolebinding", "clusterrole,clusterrolebinding,crd"] {
        let left = server.run(&["kubectl", "get", kinds, "-A", "-l", labels, "-o", "name"]);
        assert_eq!(left.stdout, "", "{left:?}");
    }
    let again = server.run(&["uninstall", "--purge", "-y"]);
    assert!(again.code == 1 && again.stderr.contains("nothing is installed"), "{again:?}");
}

#[test]
fn a_refused_prompt_changes_nothing() {
    let server = Server::start();
    let output = server.run_with_input(&["install"], "n\n");
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("Proceed? (y/N)") && output.stderr.contains("Cancelled."), "{output:?}");
    let found = server.run(&["kubectl", "get", "namespace", "istio-system"]);
    assert_eq!(found.code, 1, "{found:?}");
}

#[test]
fn a_mistyped_setting_stops_before_anything_is_done() {
    let server = Server::start();
    let output = server.run(&["install", "-y", "--set", "values.pilot.traceSamplin=1"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("did you mean \"values.pilot.traceSampling\""), "{output:?}");
}

/// As the script for east-west gateways writes it, and with nothing to wait for.
const NAMED: &str = "kind: IstioOperator\nmetadata: {name: eastwest}\nspec: {profile: empty}\n";

#[test]
fn an_operator_with_a_name_of_its_own_leaves_what_others_made() {
    let server = Server::start();
    install(&server);
    let file = server.file("eastwest.yaml", NAMED).to_string_lossy().into_owned();
    let deployments = || server.run(&["kubectl", "-n", "istio-system", "get", "deploy", "-o", "name"]).stdout;
    let output = server.run(&["install", "-y", "-f", &file]);
    assert_eq!((output.code, deployments().as_str()), (0, "deployment.apps/istiod\n"), "{output:?}");
    let output = server.run(&["uninstall", "-y", "-f", &file]);
    assert!(output.code == 1 && output.stderr.contains("nothing of IstioOperator"), "{output:?}");
    let output = server.run(&["uninstall", "-y", "--revision", "default"]);
    assert_eq!((output.code, deployments().as_str()), (0, ""), "{output:?}");
}

#[test]
fn uninstalling_a_revision_names_the_tags_that_will_lead_nowhere() {
    let server = Server::start();
    let revision = ["--set", "profile=minimal", "--revision", "canary"];
    let install = || {
        let command = [&["install"], &revision[..], &["-y", "--readiness-timeout", "1s"]].concat();
        server.run(&command)
    };
    let installed =
        std::iter::repeat_with(install).take(60).find(|output| output.stderr.contains("istiod-canary"));
    installed.expect("the deployment is there");
    let tagged = server.run(&["tag", "set", "prod", "--revision", "canary"]);
    assert_eq!(tagged.code, 0, "{tagged:?}");
    let output = server.run(&["uninstall", "--revision", "canary", "-y"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.contains("Revision tag prod still points to revision canary"), "{output:?}");
    assert!(output.stderr.contains("sagene tag remove prod removes it"), "{output:?}");
}
