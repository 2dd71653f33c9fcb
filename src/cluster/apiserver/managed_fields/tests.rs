//! Apply and update, seen from outside: the object and who owns what.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::apiserver::registry::Registry;

fn deployments() -> Target {
    let definition = Registry::new().current().get("apps", "deployments").unwrap().clone();
    Target {
        definition: Arc::clone(&definition),
        version: "v1".into(),
        namespace: "a".into(),
        name: "web".into(),
        subresource: String::new(),
    }
}

fn config(replicas: Option<i64>, env: &[&str]) -> Value {
    let env: Vec<Value> = env.iter().map(|name| json!({"name": name, "value": "1"})).collect();
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "a", "env": env, "ports": [{"containerPort": 80}]}]}}}});
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = json!(replicas);
    }
    object
}

fn applied(live: Option<&Value>, config: &Value, manager: &str, force: bool) -> Result<Value, ApiError> {
    let result = apply(&deployments(), live, config, manager, force)?;
    let mut object = result.object;
    set_entries(&mut object, result.entries);
    Ok(object)
}

#[test]
fn apply_owns_merges_and_drops_fields() {
    let first = applied(None, &config(Some(2), &["A", "B"]), "one", false).unwrap();
    let fields = &first["metadata"]["managedFields"][0]["fieldsV1"];
    let container = &fields["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"main\"}"];
    assert_eq!(container["."], json!({}));
    assert_eq!(
        container["f:ports"]["k:{\"containerPort\":80,\"protocol\":\"TCP\"}"]["f:containerPort"],
        json!({})
    );
    assert!(fields["f:metadata"]["f:name"].is_null());

    let second = applied(Some(&first), &config(None, &["B"]), "one", false).unwrap();
    assert!(second["spec"].get("replicas").is_none());
    assert_eq!(
        second["spec"]["template"]["spec"]["containers"][0]["env"],
        json!([{"name": "B", "value": "1"}])
    );
}

#[test]
fn a_conflict_names_manager_and_field_and_force_takes_over() {
    let live = applied(None, &config(Some(2), &[]), "one", false).unwrap();
    let error = applied(Some(&live), &config(Some(3), &[]), "two", false).unwrap_err();
    assert_eq!(error.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas");
    let taken = applied(Some(&live), &config(Some(3), &[]), "two", true).unwrap();
    let entries = taken["metadata"]["managedFields"].as_array().unwrap();
    assert!(entries[0]["fieldsV1"]["f:spec"].get("f:replicas").is_none());
    assert_eq!(entries[1]["fieldsV1"]["f:spec"]["f:replicas"], json!({}));
    // Shared fields stay when one of two owners lets go.
    let kept = applied(
        Some(&taken),
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}),
        "two",
        false,
    )
    .unwrap();
    assert_eq!(kept["metadata"]["labels"]["app"], "web");
    assert!(kept["spec"].get("replicas").is_none());
}

#[test]
fn an_update_takes_what_it_changes() {
    let mut live = applied(None, &config(Some(2), &[]), "one", false).unwrap();
    let old = live.clone();
    live["spec"]["replicas"] = json!(5);
    record_update(&deployments(), Some(&old), &mut live, "kubectl-scale");
    let entries = live["metadata"]["managedFields"].as_array().unwrap();
    assert!(entries[0]["fieldsV1"]["f:spec"].get("f:replicas").is_none());
    assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(entries[1]["operation"], "Update");
    let unchanged = live.clone();
    record_update(&deployments(), Some(&unchanged), &mut live, "other");
    assert!(same_but_times(&live, &unchanged));
}
