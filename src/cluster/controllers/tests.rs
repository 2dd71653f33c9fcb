//! The controllers on a real API server; the test plays the node.

mod kinds;
mod waiting;

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use super::context::text;
use super::run;
use crate::api_client::{ApiClient, DeleteOptions, ListOptions, Propagation, ResourceRef};
use crate::apiserver::{ApiServer, ApiServerConfig, RunningApiServer};
use crate::pod_runtime::PodRuntimeHandle;

struct Cluster {
    server: RunningApiServer,
    stop: tokio_util::sync::CancellationToken,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let advertise = listener.local_addr().expect("an address");
        let config = ApiServerConfig {
            state_dir: folder.path().to_owned(),
            listeners: vec![listener],
            node_ip: None,
            advertise,
            dual_stack: false,
            pod_runtime: PodRuntimeHandle::default(),
        };
        let server = ApiServer::start(config).await.expect("an API server");
        let stop = tokio_util::sync::CancellationToken::new();
        tokio::spawn(run(
            server.client.clone(),
            "the CA".to_owned(),
            folder.path().join("volumes"),
            stop.clone(),
        ));
        let cluster = Self { server, stop, _folder: folder };
        // Pods are refused before it is there.
        let has_default = |accounts: &[Value]| accounts.iter().any(|it| it["metadata"]["name"] == "default");
        cluster.until(ResourceRef::SERVICE_ACCOUNTS, "default", "an account for pods", has_default).await;
        cluster
    }

    fn api(&self) -> &ApiClient {
        &self.server.client
    }

    async fn list(&self, resource: &ResourceRef, namespace: &str) -> Vec<Value> {
        let items =
            self.api().list(resource, namespace, &ListOptions::default()).await.expect("a list").items;
        items.iter().map(|object| Value::clone(object)).collect()
    }

    /// Waits until the objects of a kind satisfy a condition.
    async fn until(
        &self,
        resource: ResourceRef,
        namespace: &str,
        what: &str,
        holds: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        for _ in 0..12_000 {
            let objects = self.list(&resource, namespace).await;
            if holds(&objects) {
                return objects;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}; last {:#}", json!(self.list(&resource, namespace).await));
    }

    /// What a node does with a pod that runs.
    async fn make_ready(&self, pod: &Value, address: &str) {
        let mut pod = pod.clone();
        pod["status"] = json!({
            "phase": "Running", "podIP": address,
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
        });
        self.api()
            .update_status(&ResourceRef::PODS, text(&pod, "/metadata/namespace"), pod.clone())
            .await
            .expect("a status");
    }

    async fn end(self) {
        self.stop.cancel();
        self.server.shutdown().await;
    }
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" },
        "spec": {
            "replicas": 2, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": image, "ports": [{ "name": "http", "containerPort": 8080 }] }] },
            },
        },
    })
}

fn of_image(pods: &[Value], image: &str) -> Vec<Value> {
    pods.iter()
        .filter(|pod| {
            pod["spec"]["containers"][0]["image"] == image && pod["metadata"]["deletionTimestamp"].is_null()
        })
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_deployment_to_endpoints_over_a_rollout_to_the_end_of_the_namespace() {
    let cluster = Cluster::start().await;
    let api = cluster.api();
    api.create(&ResourceRef::NAMESPACES, "", json!({ "metadata": { "name": "shop" } }))
        .await
        .expect("a namespace");
    cluster
        .until(ResourceRef::CONFIG_MAPS, "shop", "the CA is published", |maps| {
            maps.iter().any(|map| map["data"]["ca.crt"] == "the CA")
        })
        .await;
    cluster
        .until(ResourceRef::SERVICE_ACCOUNTS, "shop", "a default account", |accounts| !accounts.is_empty())
        .await;
    let service = json!({ "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" }, "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] } });
    api.create(&ResourceRef::SERVICES, "shop", service).await.expect("a service");
    api.create(&ResourceRef::DEPLOYMENTS, "shop", deployment("one")).await.expect("a deployment");
    let pods = cluster.until(ResourceRef::PODS, "shop", "two pods", |pods| pods.len() == 2).await;
    for (index, pod) in pods.iter().enumerate() {
        cluster.make_ready(pod, &format!("10.0.0.{index}")).await;
    }
    let is_available = |deployments: &[Value]| deployments[0]["status"]["availableReplicas"] == 2;
    cluster.until(ResourceRef::DEPLOYMENTS, "shop", "the deployment is available", is_available).await;
    let ready = |slices: &[Value]| {
        let endpoints =
            slices.first().and_then(|slice| slice["endpoints"].as_array().cloned()).unwrap_or_default();
        slices.len() == 1
            && slices[0]["ports"][0]["port"] == 8080
            && endpoints.len() == 2
            && endpoints.iter().all(|endpoint| endpoint["conditions"]["ready"] == true)
    };
    cluster.until(ResourceRef::ENDPOINT_SLICES, "shop", "both endpoints are ready", ready).await;

    // A new template comes up one pod at a time; old ones go only once a new one works.
    let patch = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "two", "ports": [{ "name": "http", "containerPort": 8080 }] }] } } } });
    api.merge_patch(&ResourceRef::DEPLOYMENTS, "shop", "web", "", patch).await.expect("a new template");
    let pods = cluster
        .until(ResourceRef::PODS, "shop", "one new pod", |pods| of_image(pods, "two").len() == 1)
        .await;
    assert_eq!(of_image(&pods, "one").len(), 2);
    cluster.make_ready(&of_image(&pods, "two")[0], "10.0.0.8").await;
    let pods = cluster
        .until(ResourceRef::PODS, "shop", "a second new pod", |pods| of_image(pods, "two").len() == 2)
        .await;
    let second = of_image(&pods, "two")
        .into_iter()
        .find(|pod| text(pod, "/status/podIP").is_empty())
        .expect("the second pod");
    cluster.make_ready(&second, "10.0.0.9").await;
    cluster
        .until(ResourceRef::PODS, "shop", "no old pod is kept", |pods| of_image(pods, "one").is_empty())
        .await;

    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    api.delete(&ResourceRef::DEPLOYMENTS, "shop", "web", &options).await.expect("a deletion");
    cluster.until(ResourceRef::REPLICA_SETS, "shop", "no set is left", <[Value]>::is_empty).await;
    cluster
        .until(ResourceRef::PODS, "shop", "all pods are leaving", |pods| {
            pods.iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_string())
        })
        .await;
    for pod in cluster.list(&ResourceRef::PODS, "shop").await {
        let deleted = cluster
            .api()
            .delete(&ResourceRef::PODS, "shop", text(&pod, "/metadata/name"), &DeleteOptions::immediate())
            .await;
        assert!(deleted.is_ok() || deleted.is_err_and(|error| error.is_not_found()));
    }
    cluster
        .api()
        .delete(&ResourceRef::NAMESPACES, "", "shop", &DeleteOptions::default())
        .await
        .expect("a deletion");
    cluster
        .until(ResourceRef::NAMESPACES, "", "the namespace is gone", |all| {
            all.iter().all(|namespace| namespace["metadata"]["name"] != "shop")
        })
        .await;
    cluster.end().await;
}
