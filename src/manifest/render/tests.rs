//! What an installation consists of, as tools look for it.

use serde_json::{Value, json};

use super::*;
use crate::profile::{InstallRequest, resolve};

fn rendered(sets: &[&str]) -> Vec<Value> {
    let request = InstallRequest {
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
        default_tag: "1.2.3".into(),
        ..InstallRequest::default()
    };
    let installation = resolve(&request).expect("resolvable");
    render(&installation).expect("renderable").into_iter().flat_map(|part| part.objects).collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

#[test]
fn demo_has_the_control_plane_and_both_gateways_under_istios_names() {
    let objects = rendered(&["profile=demo"]);
    for (kind, name) in [
        ("Deployment", "istiod"),
        ("Service", "istiod"),
        ("ConfigMap", "istio"),
        ("ConfigMap", "istio-sidecar-injector"),
        ("MutatingWebhookConfiguration", "istio-sidecar-injector"),
        ("MutatingWebhookConfiguration", "istio-revision-tag-default"),
        ("ValidatingWebhookConfiguration", "istiod-default-validator"),
        ("Deployment", "istio-ingressgateway"),
        ("Deployment", "istio-egressgateway"),
        ("Role", "istio-ingressgateway-sds"),
        ("ServiceAccount", "istio-reader-service-account"),
    ] {
        assert!(find(&objects, kind, name).is_some(), "{kind} {name}");
    }
    let istiod = find(&objects, "Deployment", "istiod").expect("istiod");
    assert_eq!(istiod["spec"]["template"]["metadata"]["labels"]["istio"], "pilot");
    let container = &istiod["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (&container["image"], &container["args"][0]),
        (&json!("localhost/sagene:1.2.3"), &json!("control-plane"))
    );
    let gateway = find(&objects, "Deployment", "istio-ingressgateway").expect("gateway");
    assert_eq!(gateway["spec"]["template"]["spec"]["containers"][0]["args"][1], "router");
    assert!(find(&objects, "HorizontalPodAutoscaler", "istiod").is_none());
}

#[test]
fn every_object_is_found_again_by_its_labels() {
    for object in rendered(&["profile=demo"]) {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels[MANAGED_LABEL], "Reconcile", "{object:#}");
        assert!(labels[COMPONENT_LABEL].is_string() && labels[OWNER_LABEL].is_string());
    }
}

#[test]
fn empty_renders_nothing_and_minimal_no_gateway() {
    assert!(rendered(&["profile=empty"]).is_empty());
    let minimal = rendered(&["profile=minimal"]);
    assert!(find(&minimal, "Deployment", "istiod").is_some());
    assert_eq!(minimal.iter().filter(|object| object["kind"] == "Deployment").count(), 1);
}

#[test]
fn a_revision_has_its_own_control_plane_and_leaves_the_default_alone() {
    let objects = rendered(&["revision=canary"]);
    for (kind, name) in [("Deployment", "istiod-canary"), ("ConfigMap", "istio-canary")] {
        assert!(find(&objects, kind, name).is_some(), "{kind} {name}");
    }
    let canary = find(&objects, "Deployment", "istiod-canary").expect("istiod-canary");
    let default = rendered(&[]);
    let service = find(&default, "Service", "istiod").expect("istiod");
    for (key, wanted) in service["spec"]["selector"].as_object().expect("labels") {
        assert_ne!(&canary["spec"]["template"]["metadata"]["labels"][key], wanted, "{key}");
    }
    let webhook =
        find(&objects, "MutatingWebhookConfiguration", "istio-sidecar-injector-canary").expect("webhook");
    let names: Vec<&Value> =
        webhook["webhooks"].as_array().expect("list").iter().map(|entry| &entry["name"]).collect();
    assert_eq!(names, ["rev.namespace.sidecar-injector.istio.io", "rev.object.sidecar-injector.istio.io"]);
    assert!(find(&objects, "MutatingWebhookConfiguration", "istio-revision-tag-default").is_none());
}

#[test]
fn kubernetes_settings_of_a_component_reach_its_objects() {
    let objects = rendered(&[
        "components.pilot.k8s.replicaCount=3",
        "components.pilot.k8s.resources.requests.cpu=7",
        "components.ingressGateways[0].k8s.service.type=NodePort",
        "components.pilot.tag=custom",
    ]);
    let istiod = find(&objects, "Deployment", "istiod").expect("istiod");
    assert_eq!(istiod["spec"]["replicas"], 3);
    let container = &istiod["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (&container["resources"]["requests"]["cpu"], &container["image"]),
        (&json!(7), &json!("localhost/sagene:custom"))
    );
    assert_eq!(
        find(&objects, "Service", "istio-ingressgateway").expect("service")["spec"]["type"],
        "NodePort"
    );
}

#[test]
fn the_rendered_config_maps_configure_injection() {
    let objects = rendered(&["values.sidecarInjectorWebhook.rewriteAppHTTPProbe=false"]);
    let data = |name: &str, key: &str| {
        find(&objects, "ConfigMap", name).expect(name)["data"][key].as_str().expect(key).to_owned()
    };
    let config = crate::inject::InjectConfig::from_config_maps(
        &data("istio-sidecar-injector", "config"),
        &data("istio-sidecar-injector", "values"),
        &data("istio", "mesh"),
        "",
    )
    .expect("readable");
    assert_eq!(config.default_templates, ["sidecar"]);
    assert_eq!(config.values["sidecarInjectorWebhook"]["rewriteAppHTTPProbe"], false);
    assert_eq!(config.mesh["rootNamespace"], "istio-system");
}

#[test]
fn overlays_change_add_and_delete_single_fields() {
    let file = crate::profile::SourceFile {
        name: "operator.yaml".into(),
        text: r#"
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    pilot:
      k8s:
        overlays:
          - kind: Deployment
            name: istiod
            patches:
              - {path: "spec.template.spec.containers.[name:discovery].readinessProbe.periodSeconds", value: 7}
              - {path: "spec.template.metadata.annotations.prometheus\\.io/scrape"}
              - {path: "spec.template.spec.hostAliases", value: [{ip: 192.0.2.1, hostnames: [a]}]}
"#
        .into(),
    };
    let request = InstallRequest { files: vec![file.clone()], ..InstallRequest::default() };
    let installation = resolve(&request).expect("resolvable");
    let objects: Vec<Value> =
        render(&installation).expect("renderable").into_iter().flat_map(|part| part.objects).collect();
    let template = &find(&objects, "Deployment", "istiod").expect("istiod")["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["readinessProbe"]["periodSeconds"], 7);
    assert!(template["metadata"]["annotations"].get("prometheus.io/scrape").is_none());
    assert_eq!(template["spec"]["hostAliases"][0]["ip"], "192.0.2.1");
    let text = file.text.replace("name: istiod", "name: other");
    let files = vec![crate::profile::SourceFile { text, ..file }];
    let other = resolve(&InstallRequest { files, ..InstallRequest::default() }).expect("resolvable");
    assert!(render(&other).expect_err("no such object").to_string().contains("no Deployment \"other\""));
}

#[test]
fn a_gateway_may_be_left_to_the_webhook() {
    let objects = rendered(&[
        "profile=demo",
        "values.gateways.istio-ingressgateway.injectionTemplate=gateway",
        "values.gateways.istio-ingressgateway.env.ISTIO_META_REQUESTED_NETWORK_VIEW=one",
    ]);
    let template =
        &find(&objects, "Deployment", "istio-ingressgateway").expect("gateway")["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["inject.istio.io/templates"], "gateway");
    assert_eq!(template["metadata"]["labels"]["sidecar.istio.io/inject"], "true");
    let container = &template["spec"]["containers"][0];
    assert_eq!((&container["name"], &container["image"]), (&json!("istio-proxy"), &json!("auto")));
    assert_eq!(container["env"], json!([{"name": "ISTIO_META_REQUESTED_NETWORK_VIEW", "value": "one"}]));
    let other = &find(&objects, "Deployment", "istio-egressgateway").expect("gateway")["spec"]["template"];
    assert_eq!(other["metadata"]["labels"]["sidecar.istio.io/inject"], "false");
}
