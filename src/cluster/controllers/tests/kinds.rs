//! Kinds beside the workloads: owners of any kind, claims, schedules, quotas, limits and budgets.

use serde_json::{Value, json};

use super::Cluster;
use crate::api_client::{DeleteOptions, ResourceRef};

const NAMESPACE: &str = "default";

async fn create(cluster: &Cluster, resource: &ResourceRef, object: Value) -> Value {
    let created = cluster.api().create(resource, NAMESPACE, object).await;
    Value::clone(&created.unwrap_or_else(|error| panic!("{error}")))
}

fn pod(name: &str, resources: &Value) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_owned_goes_with_its_owner_whatever_the_kind() {
    let cluster = Cluster::start().await;
    let roles = ResourceRef::new("rbac.authorization.k8s.io", "v1", "roles", "Role", true);
    let owner = create(&cluster, &roles, json!({"metadata": {"name": "owner"}, "rules": []})).await;
    let reference = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "name": "owner", "uid": owner["metadata"]["uid"]});
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [reference]}});
    create(&cluster, &ResourceRef::CONFIG_MAPS, owned).await;
    cluster.api().delete(&roles, NAMESPACE, "owner", &DeleteOptions::default()).await.unwrap();
    let gone = |maps: &[Value]| maps.iter().all(|map| map["metadata"]["name"] != "owned");
    cluster.until(ResourceRef::CONFIG_MAPS, NAMESPACE, "the owned map is gone", gone).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_gets_a_volume_which_goes_with_it() {
    let cluster = Cluster::start().await;
    let claims = ResourceRef::PERSISTENT_VOLUME_CLAIMS;
    let volumes = ResourceRef::PERSISTENT_VOLUMES;
    let claim = json!({"metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    create(&cluster, &claims, claim).await;
    let bound = |objects: &[Value]| {
        objects.iter().all(|one| one["status"]["phase"] == "Bound") && !objects.is_empty()
    };
    let found = cluster.until(claims.clone(), NAMESPACE, "the claim is bound", bound).await;
    assert_eq!(found[0]["status"]["capacity"]["storage"], "1Gi");
    cluster.until(volumes.clone(), "", "the volume says so", bound).await;
    let other = json!({"metadata": {"name": "other"}, "spec": {"storageClassName": "none",
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    create(&cluster, &claims, other).await;
    let told = |events: &[Value]| events.iter().any(|event| event["reason"] == "ProvisioningFailed");
    cluster.until(ResourceRef::EVENTS, NAMESPACE, "why it waits", told).await;
    cluster.api().delete(&claims, NAMESPACE, "data", &DeleteOptions::default()).await.unwrap();
    cluster.until(volumes, "", "the volume is gone", <[Value]>::is_empty).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cron_job_that_is_due_starts_a_job_with_a_selector() {
    let cluster = Cluster::start().await;
    let template = json!({"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    let cron_job =
        json!({"metadata": {"name": "tick"}, "spec": {"schedule": "* * * * *", "jobTemplate": template}});
    let mut cron_job = create(&cluster, &ResourceRef::CRON_JOBS, cron_job).await;
    let earlier = jiff::Timestamp::now() - std::time::Duration::from_secs(180);
    loop {
        cron_job["status"] = json!({"lastScheduleTime": format!("{earlier:.0}")});
        match cluster.api().update_status(&ResourceRef::CRON_JOBS, NAMESPACE, cron_job.clone()).await {
            Ok(_) => break,
            Err(error) if error.is_conflict() => {
                let now = cluster.api().get(&ResourceRef::CRON_JOBS, NAMESPACE, "tick").await.unwrap();
                cron_job = Value::clone(&now);
            }
            Err(error) => panic!("{error}"),
        }
    }
    let jobs = cluster.until(ResourceRef::JOBS, NAMESPACE, "a job", |jobs| !jobs.is_empty()).await;
    let uid = &jobs[0]["metadata"]["uid"];
    assert_eq!(jobs[0]["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], *uid);
    let labeled = |pods: &[Value]| {
        pods.len() == 1 && pods[0]["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] == *uid
    };
    cluster.until(ResourceRef::PODS, NAMESPACE, "its pod", labeled).await;
    let told = |events: &[Value]| {
        let reasons: Vec<&str> = events.iter().filter_map(|event| event["reason"].as_str()).collect();
        events.iter().any(|event| event["involvedObject"]["kind"] == "CronJob")
            && reasons.contains(&"SuccessfulCreate")
    };
    cluster.until(ResourceRef::EVENTS, NAMESPACE, "events", told).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_limits_and_budgets_hold() {
    let cluster = Cluster::start().await;
    let limits = json!({"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}]}});
    create(&cluster, &ResourceRef::LIMIT_RANGES, limits).await;
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2", "requests.cpu": "250m"}}});
    create(&cluster, &ResourceRef::RESOURCE_QUOTAS, quota).await;
    let budget = json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}});
    create(&cluster, &ResourceRef::POD_DISRUPTION_BUDGETS, budget).await;
    let first = create(&cluster, &ResourceRef::PODS, pod("first", &Value::Null)).await;
    let resources = json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}});
    assert_eq!(first["spec"]["containers"][0]["resources"], resources);
    let refused = |object: Value| async {
        let refused = cluster.api().create(&ResourceRef::PODS, NAMESPACE, object).await;
        refused.expect_err("it is refused").to_string()
    };
    let message = refused(pod("large", &json!({"limits": {"cpu": "2"}, "requests": {"cpu": "100m"}}))).await;
    assert!(message.contains("maximum cpu usage per Container is 1, but limit is 2"), "{message}");
    let message = refused(pod("second", &json!({"requests": {"cpu": "200m"}}))).await;
    let expected = "exceeded quota: q, requested: requests.cpu=200m, used: requests.cpu=100m, limited: requests.cpu=250m";
    assert!(message.contains(expected), "{message}");
    let counted =
        |quotas: &[Value]| quotas[0]["status"]["used"] == json!({"pods": "1", "requests.cpu": "100m"});
    cluster.until(ResourceRef::RESOURCE_QUOTAS, NAMESPACE, "the use is told", counted).await;
    create(&cluster, &ResourceRef::PODS, pod("second", &Value::Null)).await;
    for pod in cluster.list(&ResourceRef::PODS, NAMESPACE).await {
        cluster.make_ready(&pod, "10.0.0.1").await;
    }
    let allowed = |budgets: &[Value]| budgets[0]["status"]["disruptionsAllowed"] == 1;
    cluster.until(ResourceRef::POD_DISRUPTION_BUDGETS, NAMESPACE, "one may go", allowed).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_of_a_stateful_set_have_claims_of_their_own() {
    let cluster = Cluster::start().await;
    let set = json!({"metadata": {"name": "db"}, "spec": {
        "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [
            {"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
    }});
    create(&cluster, &ResourceRef::STATEFUL_SETS, set).await;
    let mounts = |pods: &[Value]| {
        let volumes =
            pods.first().and_then(|pod| pod["spec"]["volumes"].as_array().cloned()).unwrap_or_default();
        volumes.iter().any(|volume| volume["persistentVolumeClaim"]["claimName"] == "data-db-0")
    };
    cluster.until(ResourceRef::PODS, NAMESPACE, "a pod with its claim", mounts).await;
    let bound = |claims: &[Value]| claims.len() == 1 && claims[0]["status"]["phase"] == "Bound";
    cluster.until(ResourceRef::PERSISTENT_VOLUME_CLAIMS, NAMESPACE, "the claim is bound", bound).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_secret_is_filled_lets_its_holder_in_and_goes_with_its_account() {
    let cluster = Cluster::start().await;
    create(&cluster, &ResourceRef::SERVICE_ACCOUNTS, json!({"metadata": {"name": "reader"}})).await;
    let secret = json!({"metadata": {"name": "token", "annotations": {"kubernetes.io/service-account.name": "reader"}},
        "type": "kubernetes.io/service-account-token"});
    create(&cluster, &ResourceRef::SECRETS, secret).await;
    let filled = |secrets: &[Value]| secrets.iter().any(|secret| secret["data"]["token"].is_string());
    let found = cluster.until(ResourceRef::SECRETS, NAMESPACE, "a token", filled).await;
    for key in ["ca.crt", "namespace"] {
        assert!(found[0]["data"][key].is_string(), "{key}");
    }
    use base64::Engine as _;
    let token = base64::engine::general_purpose::STANDARD.decode(found[0]["data"]["token"].as_str().unwrap());
    let token = String::from_utf8(token.unwrap()).unwrap();
    let user = cluster.api().user_of(&token);
    assert_eq!(user.as_deref(), Some("system:serviceaccount:default:reader"));

    let options = DeleteOptions::default();
    cluster.api().delete(&ResourceRef::SERVICE_ACCOUNTS, NAMESPACE, "reader", &options).await.unwrap();
    cluster.until(ResourceRef::SECRETS, NAMESPACE, "the token is gone", <[Value]>::is_empty).await;
    assert_eq!(cluster.api().user_of(&token), None);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_autoscaler_keeps_replicas_within_bounds_and_says_what_it_lacks() {
    let cluster = Cluster::start().await;
    let template =
        json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let deployment = json!({"metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": template}});
    create(&cluster, &ResourceRef::DEPLOYMENTS, deployment).await;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let autoscaler = json!({"metadata": {"name": "web"},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3}});
    create(&cluster, &ResourceRef::HORIZONTAL_POD_AUTOSCALERS, autoscaler).await;
    let replicas = |wanted: i64| move |all: &[Value]| all.iter().all(|one| one["spec"]["replicas"] == wanted);
    cluster.until(ResourceRef::DEPLOYMENTS, NAMESPACE, "the least is there", replicas(2)).await;
    let patch = json!({"spec": {"replicas": 7}});
    cluster.api().merge_patch(&ResourceRef::DEPLOYMENTS, NAMESPACE, "web", "", patch).await.unwrap();
    cluster.until(ResourceRef::DEPLOYMENTS, NAMESPACE, "no more than the most", replicas(3)).await;
    let told = |all: &[Value]| {
        let conditions = all[0]["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .iter()
            .any(|one| one["type"] == "ScalingActive" && one["reason"] == "FailedGetResourceMetric")
    };
    let kind = ResourceRef::HORIZONTAL_POD_AUTOSCALERS;
    cluster.until(kind, NAMESPACE, "the status says why it does no more", told).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taint_without_execution_drives_out_the_pods_that_do_not_tolerate_it() {
    let cluster = Cluster::start().await;
    let account = |accounts: &[Value]| !accounts.is_empty();
    cluster.until(ResourceRef::SERVICE_ACCOUNTS, NAMESPACE, "pods may be made", account).await;
    let node = json!({"metadata": {"name": "here"}, "spec": {}});
    cluster.api().create(&ResourceRef::NODES, "", node).await.unwrap();
    let bound = |name: &str, tolerations: Value| {
        let mut pod = pod(name, &json!({}));
        (pod["spec"]["nodeName"], pod["spec"]["tolerations"]) = (json!("here"), tolerations);
        pod
    };
    let exists = json!({"key": "maintenance", "operator": "Exists"});
    create(&cluster, &ResourceRef::PODS, bound("stays", json!([exists]))).await;
    let mut brief = exists.clone();
    (brief["effect"], brief["tolerationSeconds"]) = (json!("NoExecute"), json!(1));
    create(&cluster, &ResourceRef::PODS, bound("goes-soon", json!([brief]))).await;
    create(&cluster, &ResourceRef::PODS, bound("goes", json!([]))).await;
    let taint = json!({"spec": {"taints": [{"key": "maintenance", "effect": "NoExecute"}]}});
    cluster.api().merge_patch(&ResourceRef::NODES, "", "here", "", taint).await.unwrap();
    let left = |pods: &[Value]| {
        let staying = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        staying.map(|pod| pod["metadata"]["name"].clone()).eq([json!("stays")])
    };
    cluster.until(ResourceRef::PODS, NAMESPACE, "only the tolerant pod stays", left).await;
    let told = |events: &[Value]| events.iter().any(|event| event["reason"] == "TaintManagerEviction");
    cluster.until(ResourceRef::EVENTS, NAMESPACE, "the eviction is told", told).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_somebody_wrote_are_slices_of_a_service_without_selector() {
    let cluster = Cluster::start().await;
    let service = json!({"metadata": {"name": "outside"}, "spec": {"ports": [{"port": 443, "name": "tls"}]}});
    create(&cluster, &ResourceRef::SERVICES, service).await;
    let endpoints = json!({"metadata": {"name": "outside"}, "subsets": [
        {"addresses": [{"ip": "203.0.113.7"}], "ports": [{"port": 8443, "name": "tls"}]}]});
    create(&cluster, &ResourceRef::ENDPOINTS, endpoints).await;
    let of_service = |slice: &&Value| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "outside";
    let mirrored = |slices: &[Value]| slices.iter().filter(of_service).count() == 1;
    let slices = cluster.until(ResourceRef::ENDPOINT_SLICES, NAMESPACE, "the slice is there", mirrored).await;
    let slice = slices.iter().find(of_service).unwrap();
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["203.0.113.7"]));
    assert_eq!((&slice["ports"][0]["port"], &slice["ports"][0]["protocol"]), (&json!(8443), &json!("TCP")));
    cluster
        .api()
        .delete(&ResourceRef::ENDPOINTS, NAMESPACE, "outside", &DeleteOptions::default())
        .await
        .unwrap();
    let gone = |slices: &[Value]| !slices.iter().any(|slice| of_service(&slice));
    cluster.until(ResourceRef::ENDPOINT_SLICES, NAMESPACE, "the slice is gone", gone).await;
    cluster.end().await;
}
