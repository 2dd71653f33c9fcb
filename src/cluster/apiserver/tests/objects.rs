//! Objects: apply, watch, CRDs, durability, tokens.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::{TestServer, start_in};
use crate::api_client::{DeleteOptions, ListOptions, ResourceRef, WatchOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_kube_client_applies_watches_and_meets_conflicts() {
    let server = TestServer::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(server.kube().await, "default");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"app": "x"}}, "data": {"k": "1"}});
    let one = PatchParams::apply("one");
    let created = maps.patch("a", &one, &Patch::Apply(&map)).await.unwrap();
    let revision = created.metadata.resource_version.clone().unwrap();
    let again = maps.patch("a", &one, &Patch::Apply(&map)).await.unwrap();
    assert_eq!(
        again.metadata.resource_version, created.metadata.resource_version,
        "an apply without changes writes nothing"
    );

    let mut other = map.clone();
    other["data"]["k"] = json!("2");
    let refused = maps.patch("a", &PatchParams::apply("two"), &Patch::Apply(&other)).await.unwrap_err();
    assert!(refused.to_string().contains("conflict with \"one\": .data.k"), "{refused}");

    let params = WatchParams::default().labels("app=x");
    let mut watch = Box::pin(maps.watch(&params, &revision).await.unwrap());
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "3"}}))).await.unwrap();
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"app": "y"}}})))
        .await
        .unwrap();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Modified(_)))));
    assert!(
        matches!(watch.next().await, Some(Ok(WatchEvent::Deleted(_)))),
        "an object that no longer matches is gone"
    );

    let mut stale = created.clone();
    stale.data = None;
    let refused = maps.replace("a", &PostParams::default(), &stale).await.unwrap_err();
    assert!(refused.to_string().contains("the object has been modified"), "{refused}");
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_at_the_same_time_all_count_unless_they_name_a_state() {
    let server = TestServer::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(server.kube().await, "default");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let created = maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    let patches = (0..40).map(|number| {
        let maps = maps.clone();
        tokio::spawn(async move {
            let patch = json!({"data": {format!("k{number}"): "1"}});
            let patch = if number % 2 == 0 { Patch::Merge(patch) } else { Patch::Strategic(patch) };
            maps.patch("a", &PatchParams::default(), &patch).await
        })
    });
    for patch in futures::future::join_all(patches).await {
        patch.unwrap().expect("a patch that names no state never conflicts");
    }
    assert_eq!(maps.get("a").await.unwrap().data.unwrap().len(), 40);
    let stale =
        json!({"metadata": {"resourceVersion": created.metadata.resource_version}, "data": {"k": "2"}});
    let refused = maps.patch("a", &PatchParams::default(), &Patch::Merge(stale)).await.unwrap_err();
    assert!(refused.to_string().contains("the object has been modified"), "{refused}");
    server.running.shutdown().await;
}

fn crd() -> Value {
    json!({"metadata": {"name": "things.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"}, "versions": [
            {"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
                    "size": {"type": "integer", "minimum": 1}, "mode": {"type": "string", "default": "fast"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}},
            {"name": "v1beta1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object",
                "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_kind_is_served_at_once_validated_defaulted_and_pruned() {
    let server = TestServer::start().await;
    server.running.client.create(&ResourceRef::CUSTOM_RESOURCE_DEFINITIONS, "", crd()).await.unwrap();
    let resource = |version: &str| {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.com", version, "Thing"), "things")
    };
    let things: Api<DynamicObject> = Api::namespaced_with(server.kube().await, "default", &resource("v1"));
    let thing = |size: i64| {
        DynamicObject::new("t", &resource("v1"))
            .data(json!({"spec": {"size": size, "extra": 1}, "status": {"a": 1}}))
    };
    let refused = things.create(&PostParams::default(), &thing(0)).await.unwrap_err();
    assert!(
        refused.to_string().contains("spec.size in body should be greater than or equal to 1"),
        "{refused}"
    );
    let created = things.create(&PostParams::default(), &thing(2)).await.unwrap();
    assert_eq!(
        created.data,
        json!({"spec": {"size": 2, "mode": "fast"}}),
        "defaulted, pruned, and without a status"
    );
    let status = Patch::Merge(json!({"status": {"ready": true}, "spec": {"size": 9}}));
    let changed = things.patch_status("t", &PatchParams::default(), &status).await.unwrap();
    assert_eq!(changed.data, json!({"spec": {"size": 2, "mode": "fast"}, "status": {"ready": true}}));
    assert_eq!(changed.metadata.generation, Some(1));
    let old: Api<DynamicObject> = Api::namespaced_with(server.kube().await, "default", &resource("v1beta1"));
    assert_eq!(old.get("t").await.unwrap().types.unwrap().api_version, "example.com/v1beta1");
    let client = &server.running.client;
    client
        .delete(
            &ResourceRef::CUSTOM_RESOURCE_DEFINITIONS,
            "",
            "things.example.com",
            &DeleteOptions::default(),
        )
        .await
        .unwrap();
    assert!(things.get("t").await.is_err());
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_of_v1_is_one_of_v2_too() {
    let server = TestServer::start().await;
    let client = server.kube().await;
    let api = |version: &str| -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("autoscaling", version, "HorizontalPodAutoscaler");
        let resource = ApiResource::from_gvk_with_plural(&kind, "horizontalpodautoscalers");
        Api::namespaced_with(client.clone(), "default", &resource)
    };
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let object = |version: &str, spec: Value| {
        let object = json!({"apiVersion": version, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
            "spec": spec});
        serde_json::from_value::<DynamicObject>(object).unwrap()
    };
    let spec = json!({"scaleTargetRef": target, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60});
    let made = api("v1").create(&PostParams::default(), &object("autoscaling/v1", spec)).await.unwrap();
    assert_eq!(made.types.unwrap().api_version, "autoscaling/v1");
    assert_eq!(made.data["spec"]["targetCPUUtilizationPercentage"], 60);
    let utilization = |object: &DynamicObject| {
        object.data["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"].clone()
    };
    assert_eq!(utilization(&api("v2").get("web").await.unwrap()), 60);

    let condition = json!([{"type": "AbleToScale", "status": "True"}]);
    let status = Patch::Merge(json!({"status": {"currentReplicas": 1, "conditions": condition}}));
    api("v2").patch_status("web", &PatchParams::default(), &status).await.unwrap();
    let change = Patch::Merge(
        json!({"spec": {"targetCPUUtilizationPercentage": 70}, "metadata": {"annotations": null}}),
    );
    api("v1").patch("web", &PatchParams::default(), &change).await.unwrap();
    let seen = api("v2").get("web").await.unwrap();
    assert_eq!((utilization(&seen), &seen.data["status"]["conditions"]), (json!(70), &condition));
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_kept_holds_no_address() {
    let server = TestServer::start().await;
    let services: Api<Service> = Api::namespaced(server.kube().await, "default");
    let service = |name: &str| -> Service {
        let spec =
            json!({"clusterIP": "10.96.7.7", "type": "NodePort", "ports": [{"port": 80, "nodePort": 31111}]});
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    services.create(&dry, &service("tried")).await.unwrap();
    let mut other = service("other");
    let spec = other.spec.as_mut().unwrap();
    (spec.cluster_ip, spec.type_) = (None, Some("ClusterIP".to_owned()));
    spec.ports.as_mut().unwrap()[0].node_port = None;
    services.create(&PostParams::default(), &other).await.unwrap();
    let exposed = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 31111}]}});
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    services.patch("other", &dry, &Patch::Merge(exposed)).await.unwrap();
    services.create(&PostParams::default(), &service("kept")).await.unwrap();
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_objects_survive_and_old_revisions_are_gone() {
    let state = tempfile::TempDir::new().unwrap();
    let (first, ..) = start_in(state.path()).await;
    let map = json!({"metadata": {"name": "kept"}, "data": {"k": "v"}});
    first.client.create(&ResourceRef::CONFIG_MAPS, "default", map).await.unwrap();
    let list =
        first.client.list(&ResourceRef::CONFIG_MAPS, "default", &ListOptions::default()).await.unwrap();
    let admin = first.admin.ca_certificate.clone();
    // What a crash leaves: the file as it was when the last write was acknowledged.
    let crashed = tempfile::TempDir::new().unwrap();
    for entry in std::fs::read_dir(state.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), crashed.path().join(entry.file_name())).unwrap();
    }
    let (second, ..) = start_in(crashed.path()).await;
    let kept = second.client.get(&ResourceRef::CONFIG_MAPS, "default", "kept").await.unwrap();
    assert_eq!(kept["data"]["k"], "v");
    assert_eq!(second.admin.ca_certificate, admin, "the CA stays, so kubeconfigs stay valid");
    let options = WatchOptions { resource_version: Some(list.resource_version), ..WatchOptions::default() };
    let gone = second.client.watch(&ResourceRef::CONFIG_MAPS, "", &options).await.err().unwrap();
    assert!(gone.is_gone(), "{gone}");
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_file_is_named() {
    let state = tempfile::TempDir::new().unwrap();
    std::fs::write(state.path().join("objects.redb"), b"this is not a database").unwrap();
    let error = crate::apiserver::store::Store::open(state.path()).err().unwrap();
    assert!(error.to_string().contains("objects.redb"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_dies_with_its_pod() {
    let server = TestServer::start().await;
    let pod = server.create_pod("bound").await;
    let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": "bound", "uid": pod["metadata"]["uid"]});
    let request =
        json!({"spec": {"audiences": ["istio-ca"], "expirationSeconds": 600, "boundObjectRef": bound}});
    let client = &server.running.client;
    let token = client.create_token("default", "default", request).await.unwrap()["status"]["token"].clone();
    let review = async || {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
            "spec": {"token": token, "audiences": ["istio-ca"]}});
        let request = http::Request::post("/apis/authentication.k8s.io/v1/tokenreviews")
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .unwrap();
        server.kube().await.request::<Value>(request).await.unwrap()["status"].clone()
    };
    let status = review().await;
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:default");
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["bound"]));
    client.delete(&ResourceRef::PODS, "default", "bound", &DeleteOptions::immediate()).await.unwrap();
    assert_eq!(review().await["authenticated"], false);
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_long_or_too_deep_are_answered_and_cost_little() {
    let server = TestServer::start().await;
    let client = server.kube().await;
    let post = async |content_type: &str, body: Vec<u8>| {
        let request = http::Request::post("/api/v1/namespaces/default/configmaps")
            .header("content-type", content_type)
            .body(body)
            .unwrap();
        match client.request::<Value>(request).await {
            Err(kube::Error::Api(status)) => status.code,
            other => panic!("{other:?}"),
        }
    };
    let long = json!({"metadata": {"name": "long"}, "data": {"a": "x".repeat(8 << 20)}});
    assert_eq!(post("application/json", long.to_string().into_bytes()).await, 413);
    let began = std::time::Instant::now();
    assert_eq!(post("application/json", b"[".repeat(200_000)).await, 400);
    assert_eq!(post("application/yaml", b"[".repeat(200_000)).await, 400);
    let layers = ["a: &a [x,x,x,x,x,x,x,x,x,x]"].into_iter().map(str::to_owned);
    let more = ('b'..'j').zip('a'..).map(|(name, of)| {
        let again = vec![format!("*{of}"); 10].join(",");
        format!("{name}: &{name} [{again}]")
    });
    let bomb: Vec<String> = layers.chain(more).collect();
    assert_eq!(post("application/yaml", bomb.join("\n").into_bytes()).await, 400);
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_two_families_are_refused_and_those_that_only_prefer_them_have_one() {
    let server = TestServer::start().await;
    let create = async |spec: Value| {
        let mut spec = spec;
        spec["ports"] = json!([{"port": 80}]);
        let service = json!({"metadata": {"generateName": "s-"}, "spec": spec});
        server.running.client.create(&ResourceRef::SERVICES, "default", service).await
    };
    let selector = json!({"app": "a"});
    let refused =
        create(json!({"selector": selector, "ipFamilyPolicy": "RequireDualStack"})).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\""), "{said}");
    assert!(said.contains("this cluster is not configured for dual-stack services"), "{said}");
    let refused = create(json!({"selector": selector, "ipFamilies": ["IPv6"]})).await.unwrap_err();
    let said = refused.to_string();
    assert!(
        said.contains("spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
        "{said}"
    );
    let single = create(json!({"selector": selector, "ipFamilyPolicy": "PreferDualStack"})).await.unwrap();
    assert_eq!(single["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(single["spec"]["clusterIPs"].as_array().map(Vec::len), Some(1));
    // Whoever writes the endpoints of a headless service without a selector decides.
    create(json!({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack"})).await.unwrap();
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_two_families_gives_addresses_of_both_and_takes_the_second_back() {
    let server = TestServer::start_dual_stack().await;
    let client = &server.running.client;
    let service = json!({"metadata": {"name": "s"}, "spec": {
        "selector": {"app": "a"}, "ports": [{"port": 80}], "ipFamilyPolicy": "RequireDualStack", "clusterIPs": ["fd00:10:96::77"], "clusterIP": "fd00:10:96::77",
    }});
    let made = client.create(&ResourceRef::SERVICES, "default", service.clone()).await.unwrap();
    let addresses: Vec<&str> =
        made["spec"]["clusterIPs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(addresses[0], "fd00:10:96::77");
    assert!(addresses[1].starts_with("10.96."), "{addresses:?}");
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv6", "IPv4"]));

    let mut taken = service;
    taken["metadata"]["name"] = json!("t");
    let refused =
        client.create(&ResourceRef::SERVICES, "default", taken.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("provided IP is already allocated"), "{refused}");

    let patch = json!({"spec": {"ipFamilyPolicy": "SingleStack"}});
    let single = client.merge_patch(&ResourceRef::SERVICES, "default", "s", "", patch).await.unwrap();
    assert_eq!(single["spec"]["clusterIPs"], json!(["fd00:10:96::77"]));
    // What was given up is free again.
    taken["spec"]["clusterIP"] = json!(addresses[1]);
    taken["spec"]["clusterIPs"] = json!([addresses[1]]);
    client.create(&ResourceRef::SERVICES, "default", taken).await.unwrap();
    server.running.shutdown().await;
}
