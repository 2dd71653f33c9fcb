//! Merging as a user meets it: profiles, files, assignments.

use serde_json::{Value, json};

use super::*;

fn request(sets: &[&str]) -> InstallRequest {
    InstallRequest {
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
        default_tag: "1.2.3".to_owned(),
        ..InstallRequest::default()
    }
}

fn resolved(sets: &[&str]) -> Installation {
    resolve(&request(sets)).expect("resolvable")
}

#[test]
fn every_profile_resolves_except_ambient() {
    for name in names() {
        let extra =
            if name == "remote" { "values.global.remotePilotAddress=istiod.example" } else { "hub=h" };
        assert_eq!(resolved(&[&format!("profile={name}"), extra]).profile, name);
    }
    let error = resolve(&request(&["profile=ambient"])).expect_err("refused");
    assert!(error.to_string().contains("use demo or default"), "{error}");
}

#[test]
fn demo_switches_the_egress_gateway_and_the_access_log_on() {
    let demo = resolved(&["profile=demo"]);
    assert_eq!(demo.spec["components"]["egressGateways"][0]["enabled"], true);
    assert_eq!(demo.mesh["accessLogFile"], "/dev/stdout");
    assert_eq!(demo.mesh["defaultConfig"]["discoveryAddress"], "istiod.istio-system.svc:15012");
    assert_eq!(demo.tag(), "1.2.3");
}

#[test]
fn assignments_follow_the_grammar() {
    let cases = [
        ("a.b=1", json!({"a": {"b": 1}})),
        ("a.b=1.5", json!({"a": {"b": 1.5}})),
        ("a=true", json!({"a": true})),
        ("a=x=y", json!({"a": "x=y"})),
        ("a=1\\,2", json!({"a": "1,2"})),
        ("tag=1.20", json!({"tag": "1.20"})),
        ("a\\.b.c=x", json!({"a.b": {"c": "x"}})),
        ("l[0].x=y", json!({"l": [{"x": "y"}]})),
        ("l.[name:foo].x=y", json!({"l": [{"name": "foo", "x": "y"}]})),
        ("l={a, 2,x\\,y}", json!({"l": ["a", 2, "x,y"]})),
        ("l={}", json!({"l": []})),
        ("a=\\{a}", json!({"a": "{a}"})),
        ("a=null", json!({"a": null})),
        ("m.proxyMetadata.N=1", json!({"m": {"proxyMetadata": {"N": "1"}}})),
    ];
    for (assignment, expected) in cases {
        let mut tree = json!({});
        set(&mut tree, assignment).expect(assignment);
        assert_eq!(tree, expected, "{assignment}");
    }
    for bad in ["a", "=1", "a..b=1", "a[x]=1"] {
        assert!(set(&mut json!({}), bad).is_err(), "{bad}");
    }
    assert!(set(&mut json!({"a": 1}), "a.b=2").is_err());
}

#[test]
fn lists_in_braces_replace_and_null_takes_away() {
    let one = resolved(&[
        "profile=demo",
        "values.global.imagePullSecrets={one,two}",
        "meshConfig.accessLogFile=null",
        "components.egressGateways[0]=null",
    ]);
    assert_eq!(one.values["global"]["imagePullSecrets"], json!(["one", "two"]));
    assert_eq!(one.mesh.get("accessLogFile").unwrap_or(&Value::Null), &Value::Null);
    assert_eq!(one.spec["components"]["egressGateways"], json!([]));
}

#[test]
fn an_assignment_into_a_list_keeps_the_profiles_other_fields() {
    let one = resolved(&["components.ingressGateways[0].k8s.replicaCount=3"]);
    let gateway = &one.spec["components"]["ingressGateways"][0];
    assert_eq!(
        (&gateway["name"], &gateway["k8s"]["replicaCount"]),
        (&json!("istio-ingressgateway"), &json!(3))
    );
}

#[test]
fn unknown_settings_are_named_with_a_near_one_unless_forced() {
    let error = resolve(&request(&["values.global.proxy.logLevl=debug"])).expect_err("unknown");
    assert!(error.to_string().contains("did you mean \"values.global.proxy.logLevel\""), "{error}");
    let forced = InstallRequest { force: true, ..request(&["values.nonsense=1"]) };
    assert_eq!(resolve(&forced).expect("forced").warnings.len(), 1);
}

#[test]
fn files_overlay_left_to_right_and_assignments_win() {
    let file = |text: &str| SourceFile { name: "f.yaml".into(), text: text.into() };
    let request = InstallRequest {
        files: vec![
            file("kind: IstioOperator\nspec: {hub: a, meshConfig: {accessLogFile: /a, enableTracing: true}}"),
            file("kind: IstioOperator\nspec: {hub: b, meshConfig: {accessLogFile: /b}}"),
        ],
        ..request(&["hub=c", "revision=canary"])
    };
    let merged = resolve(&request).expect("resolvable");
    assert_eq!(merged.values["global"]["hub"], "c");
    assert_eq!(
        (&merged.mesh["accessLogFile"], &merged.mesh["enableTracing"]),
        (&json!("/b"), &Value::Bool(true))
    );
    assert_eq!(merged.suffix(), "-canary");
    assert_eq!(merged.mesh["defaultConfig"]["discoveryAddress"], "istiod-canary.istio-system.svc:15012");
}

#[test]
fn settings_of_the_mesh_are_those_of_mesh_config() {
    let known = [
        "meshConfig.accessLogFile=/dev/stdout",
        "meshConfig.defaultConfig.proxyMetadata.ANY=value",
        "meshConfig.defaultConfig.tracing.sampling=50",
        "meshConfig.extensionProviders[0].name=mine",
        "values.meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY",
    ];
    resolved(&known);
    let error = resolve(&request(&["meshConfig.accesLogFile=/dev/stdout"])).expect_err("refused");
    assert!(error.to_string().contains("did you mean \"meshConfig.accessLogFile\""), "{error}");
    assert!(resolve(&request(&["values.meshConfig.defaultConfig.tracin.sampling=1"])).is_err());
    for (wrong, path) in [
        ("meshConfig.connectTimeout=soon", "meshConfig.connectTimeout: "),
        ("meshConfig.outboundTrafficPolicy.mode=SOME", "meshConfig.outboundTrafficPolicy.mode: "),
    ] {
        let error = resolve(&request(&[wrong])).expect_err(wrong).to_string();
        assert!(error.starts_with(path), "{error}");
    }
}

#[test]
fn what_has_no_effect_or_cannot_work_is_said() {
    assert!(resolved(&["compatibilityVersion=1.25"]).warnings[0].contains("no effect"));
    assert_eq!(
        resolved(&["values.telemetry.v2.enabled=false"]).mesh["defaultProviders"]["metrics"],
        json!([])
    );
    let error =
        resolve(&request(&["components.ingressGateways[0].k8s.service.ports[0].port=80"])).expect_err("low");
    assert!(error.to_string().contains("below 1024"), "{error}");
}

#[test]
fn an_operator_with_a_name_owns_what_is_made_from_it() {
    let owner = |texts: &[&str], sets: &[&str]| {
        let file = |text: &&str| SourceFile { name: "f.yaml".into(), text: (*text).into() };
        let request = InstallRequest { files: texts.iter().map(file).collect(), ..request(sets) };
        resolve(&request).expect("resolvable").owner()
    };
    let (named, nameless) =
        ("kind: IstioOperator\nmetadata: {name: eastwest}\nspec: {}", "kind: IstioOperator\nspec: {}");
    assert_eq!(owner(&[], &[]), "installed-state");
    assert_eq!(owner(&[nameless], &["revision=canary"]), "installed-state-canary");
    assert_eq!(owner(&[named, nameless], &[]), "installed-state-eastwest");
    assert_eq!(owner(&[named], &["revision=canary"]), "installed-state-eastwest-canary");
}

#[test]
fn injection_templates_are_checked_before_they_are_installed() {
    let refused = |name: &str, text: &str| {
        let text = serde_json::json!({"kind": "IstioOperator", "spec":
            {"values": {"sidecarInjectorWebhook": {"templates": {name: text}}}}});
        let file = SourceFile { name: "f.yaml".into(), text: text.to_string() };
        resolve(&InstallRequest { files: vec![file], ..request(&[]) }).err().map(|error| error.to_string())
    };
    assert_eq!(refused("custom", "spec: {priority: 1}"), None);
    let said = refused("custom", "spec: {{ x }}").expect("actions");
    assert!(said.starts_with("values.sidecarInjectorWebhook.templates.custom: actions"), "{said}");
    assert!(refused("sidecar", "spec: {}").is_some_and(|said| said.contains("cannot be replaced")));
}
