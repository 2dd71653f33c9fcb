//! What cannot be done says why, until it can: pods that the API server refuses, namespaces that hold on to something.

use serde_json::{Value, json};

use super::{Cluster, deployment};
use crate::api_client::{DeleteOptions, ResourceRef};
use crate::controllers::context::text;

#[tokio::test]
async fn pods_that_are_refused_are_asked_for_with_pauses_and_told_of_once() {
    let cluster = Cluster::start().await;
    let mut wanted = deployment("app");
    wanted["metadata"]["namespace"] = json!("default");
    wanted["spec"]["replicas"] = json!(20);
    wanted["spec"]["template"]["spec"]["serviceAccountName"] = json!("late");
    cluster.api().create(&ResourceRef::DEPLOYMENTS, "default", wanted).await.expect("a deployment");

    let fails =
        |sets: &[Value]| sets.iter().any(|set| text(set, "/status/conditions/0/type") == "ReplicaFailure");
    let sets = cluster.until(ResourceRef::REPLICA_SETS, "default", "a set that fails", fails).await;
    let name = text(&sets[0], "/metadata/name");
    let reason = "error looking up service account default/late: serviceaccount \"late\" not found";
    assert_eq!(
        text(&sets[0], "/status/conditions/0/message"),
        format!("pods \"{name}-\" is forbidden: {reason}")
    );
    let failures = |events: &[Value]| -> Vec<u64> {
        let failures = events.iter().filter(|event| event["reason"] == "FailedCreate");
        failures.map(|event| event["count"].as_u64().unwrap_or(1)).collect()
    };
    let fourth = |events: &[Value]| failures(events).iter().sum::<u64>() >= 4;
    let events = cluster.until(ResourceRef::EVENTS, "default", "a fourth failure", fourth).await;
    assert_eq!(
        failures(&events).len(),
        1,
        "each try ends with the first pod, and says the same: {events:#?}"
    );
    let later = cluster.list(&ResourceRef::REPLICA_SETS, "default").await;
    let conditions = |set: &Value| set["status"]["conditions"].clone();
    assert_eq!(conditions(&later[0]), conditions(&sets[0]), "a failure more changes nothing");

    let account = json!({"metadata": {"name": "late"}});
    cluster.api().create(&ResourceRef::SERVICE_ACCOUNTS, "default", account).await.expect("an account");
    let recovered = |sets: &[Value]| {
        sets.iter().any(|set| set["status"]["replicas"] == 20 && set["status"].get("conditions").is_none())
    };
    cluster.until(ResourceRef::REPLICA_SETS, "default", "all pods", recovered).await;
    cluster.end().await;
}

#[tokio::test]
async fn a_namespace_that_cannot_end_says_what_it_waits_for() {
    let cluster = Cluster::start().await;
    let namespace = json!({"metadata": {"name": "shop"}});
    cluster.api().create(&ResourceRef::NAMESPACES, "", namespace).await.expect("a namespace");
    let map = json!({"metadata": {"name": "kept", "finalizers": ["example.com/keep"]}});
    cluster.api().create(&ResourceRef::CONFIG_MAPS, "shop", map).await.expect("a config map");
    let options = DeleteOptions::default();
    cluster.api().delete(&ResourceRef::NAMESPACES, "", "shop", &options).await.expect("deleted");

    let waits = |namespaces: &[Value]| {
        let shop = namespaces.iter().find(|it| text(it, "/metadata/name") == "shop");
        let conditions = shop.and_then(|shop| shop["status"]["conditions"].as_array());
        let message = |kind: &str, wanted: &str| {
            let mut all = conditions.into_iter().flatten();
            all.any(|it| it["type"] == kind && it["status"] == "True" && it["message"] == wanted)
        };
        message(
            "NamespaceContentRemaining",
            "Some resources are remaining: configmaps. has 1 resource instances",
        ) && message(
            "NamespaceFinalizersRemaining",
            "Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances",
        )
    };
    cluster.until(ResourceRef::NAMESPACES, "", "a reason", waits).await;
    let patch = json!({"metadata": {"finalizers": null}});
    cluster.api().merge_patch(&ResourceRef::CONFIG_MAPS, "shop", "kept", "", patch).await.expect("released");
    let gone = |namespaces: &[Value]| namespaces.iter().all(|it| text(it, "/metadata/name") != "shop");
    cluster.until(ResourceRef::NAMESPACES, "", "the end", gone).await;
    cluster.end().await;
}
