//! What configuration says about the things on the graph, from the watched objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_console::graph::decorate::{Change, MeshView, NamespaceInfo, VirtualServiceFacts};
use serde_json::Value;

use super::objects::WatchedObjects;
use crate::kubernetes::{PROXY, has_proxy, list, text};

/// The view of one cluster.
pub(super) struct ClusterView {
    client: kube::Client,
    objects: Arc<WatchedObjects>,
}

impl ClusterView {
    pub(super) const fn new(client: kube::Client, objects: Arc<WatchedObjects>) -> Self {
        Self { client, objects }
    }

    fn pods_of(&self, namespace: &str, app: &str) -> Vec<Arc<Value>> {
        let mut pods = self.objects.of("Pod", namespace);
        pods.retain(|pod| label(pod, "app") == app || label(pod, "service.istio.io~1canonical-name") == app);
        pods
    }
}

impl MeshView for ClusterView {
    fn namespaces(&self) -> Vec<NamespaceInfo> {
        let namespaces = self.objects.all("Namespace");
        let info = |namespace: &Arc<Value>| {
            let name = text(namespace, "/metadata/name").to_owned();
            let mut pods = self.objects.of("Pod", &name);
            pods.retain(|pod| text(pod, "/status/phase") == "Running");
            let meshed = pods.iter().filter(|pod| has_proxy(pod)).count();
            let cluster = "Kubernetes".to_owned();
            NamespaceInfo { name, cluster, labels: labels(namespace), pods: pods.len(), meshed }
        };
        namespaces.iter().map(info).collect()
    }

    fn virtual_service(&self, namespace: &str, service: &str) -> Option<VirtualServiceFacts> {
        let mut facts: Option<VirtualServiceFacts> = None;
        for object in self.objects.all("VirtualService") {
            let own = text(&object, "/metadata/namespace");
            let names = |host: &str| same_host(host, own, service, namespace);
            let hosts: Vec<&str> = strings(&object, "/spec/hosts");
            let routes: Vec<&Value> = list(&object, "/spec/http").collect();
            let leads_here =
                |route: &&Value| list(route, "/route").any(|it| names(text(it, "/destination/host")));
            if !hosts.iter().any(|host| names(host)) && !routes.iter().any(leads_here) {
                continue;
            }
            let facts = facts.get_or_insert_with(VirtualServiceFacts::default);
            facts.hostnames.extend(hosts.into_iter().map(str::to_owned));
            for route in routes {
                facts.traffic_shifting |= list(route, "/route").count() > 1;
                facts.fault_injection |= route.get("fault").is_some();
                facts.request_timeout |= route.get("timeout").is_some();
                facts.mirroring |= route.get("mirror").is_some() || route.get("mirrors").is_some();
                facts.request_routing |= route.get("match").is_some()
                    || list(route, "/route").any(|it| !text(it, "/destination/subset").is_empty());
            }
        }
        facts
    }

    fn has_circuit_breaker(&self, namespace: &str, service: &str, version: Option<&str>) -> bool {
        let limits = |policy: Option<&Value>| {
            policy
                .is_some_and(|it| it.get("connectionPool").is_some() || it.get("outlierDetection").is_some())
        };
        self.objects.all("DestinationRule").iter().any(|rule| {
            same_host(text(rule, "/spec/host"), text(rule, "/metadata/namespace"), service, namespace)
                && (limits(rule.pointer("/spec/trafficPolicy"))
                    || list(rule, "/spec/subsets").any(|subset| {
                        version.is_some_and(|version| text(subset, "/labels/version") == version)
                            && limits(subset.get("trafficPolicy"))
                    }))
        })
    }

    fn missing_sidecar(&self, namespace: &str, app: &str, version: &str) -> bool {
        self.pods_of(namespace, app).iter().any(|pod| {
            let own = label(pod, "version");
            let matches = own == version || (own.is_empty() && ["", "latest", "unknown"].contains(&version));
            matches && text(pod, "/status/phase") == "Running" && !has_proxy(pod)
        })
    }

    fn is_gateway(&self, namespace: &str, app: &str) -> bool {
        self.pods_of(namespace, app).iter().any(|pod| {
            list(pod, "/spec/containers").any(|container| {
                text(container, "/name") == PROXY
                    && list(container, "/args").any(|it| it.as_str() == Some("router"))
            })
        })
    }

    fn set_injection<'a>(&'a self, namespace: &'a str, enabled: bool) -> Change<'a> {
        Box::pin(async move {
            let api: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(self.client.clone());
            let value = if enabled { "enabled" } else { "disabled" };
            let patch = serde_json::json!({"metadata": {"labels": {"istio-injection": value}}});
            let patched = api.patch(namespace, &Default::default(), &kube::api::Patch::Merge(patch)).await;
            patched.map(|_| ()).map_err(|error| error.to_string())
        })
    }

    fn is_service_entry(&self, namespace: &str, service: &str) -> bool {
        let entries = self.objects.all("ServiceEntry");
        entries.iter().any(|entry| {
            let visible =
                text(entry, "/metadata/namespace") == namespace || ["", "unknown"].contains(&namespace);
            visible && strings(entry, "/spec/hosts").contains(&service)
        })
    }
}

/// Whether a host written in `own_namespace` means the service.
fn same_host(host: &str, own_namespace: &str, service: &str, namespace: &str) -> bool {
    if host.is_empty() {
        return false;
    }
    if !host.contains('.') {
        return host == service && own_namespace == namespace;
    }
    let short = service.split('.').next().unwrap_or(service);
    host == service
        || host == format!("{short}.{namespace}")
        || host == format!("{short}.{namespace}.svc")
        || host.starts_with(&format!("{short}.{namespace}.svc."))
}

fn strings<'a>(value: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(value, pointer).filter_map(Value::as_str).collect()
}

fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    text(object, &format!("/metadata/labels/{key}"))
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let map = object.pointer("/metadata/labels").and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
