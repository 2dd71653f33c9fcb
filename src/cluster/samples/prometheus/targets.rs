//! Targets and their labels (`__meta_kubernetes_…`), by the tables of Prometheus' documentation.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Services and pods by namespace and name.
pub(super) struct Related {
    pub(super) services: BTreeMap<(String, String), Value>,
    pub(super) pods: BTreeMap<(String, String), Value>,
}

/// Port of the kubelet where a node names none.
const KUBELET_PORT: u64 = 10250;

/// Namespace and name.
pub(super) fn key(object: &Value) -> (String, String) {
    (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
}

/// One target for each node, by its internal address.
pub(super) fn nodes(nodes: &[Value]) -> Vec<Value> {
    let group = |node: &Value| {
        let addresses = list(node, "/status/addresses");
        let address = ["InternalIP", "ExternalIP", "Hostname"]
            .iter()
            .find_map(|wanted| addresses.iter().find(|it| it["type"] == *wanted));
        let port = node
            .pointer("/status/daemonEndpoints/kubeletEndpoint/Port")
            .and_then(Value::as_u64)
            .unwrap_or(KUBELET_PORT);
        let mut labels = Labels::default();
        labels.set("node_name", text(node, "/metadata/name"));
        labels.set("node_provider_id", text(node, "/spec/providerID"));
        labels.metadata("node", node);
        labels.0.insert("instance".to_owned(), json!(text(node, "/metadata/name")));
        for address in addresses {
            labels.set(&format!("node_address_{}", text(address, "/type")), text(address, "/address"));
        }
        labels.group(&joined(text(address?, "/address"), port))
    };
    nodes.iter().filter_map(|node| Some(group(node)).flatten()).collect()
}

/// One target for each port of each Service, by name.
pub(super) fn services(services: &[Value]) -> Vec<Value> {
    let mut groups = Vec::new();
    for service in services {
        let (namespace, name) = key(service);
        for port in list(service, "/spec/ports") {
            let mut labels = Labels::default();
            labels.set("namespace", &namespace);
            labels.service(service);
            labels.set("service_port_name", text(port, "/name"));
            labels.set("service_port_number", &number(port, "/port").to_string());
            labels.set("service_port_protocol", text(port, "/protocol"));
            labels.set("service_type", text(service, "/spec/type"));
            match text(service, "/spec/type") {
                "ExternalName" => labels.set("service_external_name", text(service, "/spec/externalName")),
                _ => labels.set("service_cluster_ip", text(service, "/spec/clusterIP")),
            }
            groups.extend(labels.group(&format!("{name}.{namespace}.svc:{}", number(port, "/port"))));
        }
    }
    groups
}

/// One target for each port of each container, and for a container without ports its pod's address.
pub(super) fn pods(pods: &[Value]) -> Vec<Value> {
    let mut groups = Vec::new();
    for pod in pods.iter().filter(|pod| !text(pod, "/status/podIP").is_empty()) {
        let ip = text(pod, "/status/podIP");
        for (container, is_init) in containers(pod) {
            let labels = |port: &Value| {
                let mut labels = Labels::default();
                labels.set("namespace", text(pod, "/metadata/namespace"));
                labels.pod(pod);
                labels.container(container, port);
                labels.set("pod_container_init", if is_init { "true" } else { "false" });
                labels
            };
            let ports = list(container, "/ports");
            if ports.is_empty() {
                groups.extend(labels(&Value::Null).group(&bracketed(ip)));
            }
            groups.extend(
                ports
                    .iter()
                    .filter_map(|port| labels(port).group(&joined(ip, number(port, "/containerPort")))),
            );
        }
    }
    groups
}

/// One target for each address and port of Endpoints.
pub(super) fn endpoints(listed: &[Value], related: &Related) -> Vec<Value> {
    let mut groups = Vec::new();
    for object in listed {
        for subset in list(object, "/subsets") {
            for (addresses, ready) in [("/addresses", "true"), ("/notReadyAddresses", "false")] {
                for address in list(subset, addresses) {
                    for port in list(subset, "/ports") {
                        let mut labels = Labels::default();
                        labels.set("endpoints_name", text(object, "/metadata/name"));
                        labels.metadata("endpoints", object);
                        labels.set("endpoint_ready", ready);
                        labels.set("endpoint_port_name", text(port, "/name"));
                        labels.set("endpoint_port_protocol", text(port, "/protocol"));
                        labels.set("endpoint_hostname", text(address, "/hostname"));
                        labels.set("endpoint_node_name", text(address, "/nodeName"));
                        labels.reference("endpoint", address);
                        labels.behind(object, text(object, "/metadata/name"), address, port, related);
                        groups.extend(labels.group(&joined(text(address, "/ip"), number(port, "/port"))));
                    }
                }
            }
        }
    }
    groups
}

/// One target for each address and port of EndpointSlices.
pub(super) fn slices(listed: &[Value], related: &Related) -> Vec<Value> {
    let mut groups = Vec::new();
    for object in listed {
        let service = text(object, "/metadata/labels/kubernetes.io~1service-name");
        for endpoint in list(object, "/endpoints") {
            let ready = endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true);
            for (address, port) in list(endpoint, "/addresses")
                .iter()
                .flat_map(|address| list(object, "/ports").iter().map(move |port| (address, port)))
            {
                let mut labels = Labels::default();
                labels.set("endpointslice_name", text(object, "/metadata/name"));
                labels.metadata("endpointslice", object);
                labels.set("endpointslice_address_type", text(object, "/addressType"));
                labels.set("endpointslice_endpoint_conditions_ready", if ready { "true" } else { "false" });
                labels.set("endpointslice_port", &number(port, "/port").to_string());
                labels.set("endpointslice_port_name", text(port, "/name"));
                labels.set("endpointslice_port_protocol", text(port, "/protocol"));
                labels.reference("endpointslice", endpoint);
                labels.behind(object, service, endpoint, port, related);
                groups.extend(
                    labels.group(&joined(address.as_str().unwrap_or_default(), number(port, "/port"))),
                );
            }
        }
    }
    groups
}

/// Labels of a target, by name.
#[derive(Default)]
struct Labels(Map<String, Value>);

impl Labels {
    /// `__meta_kubernetes_<name>`, unless there is nothing to say.
    fn set(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.insert(format!("__meta_kubernetes_{}", sanitized(name)), json!(value));
        }
    }

    /// Labels and annotations of an object.
    fn metadata(&mut self, of: &str, object: &Value) {
        for (place, word) in [("/metadata/labels", "label"), ("/metadata/annotations", "annotation")] {
            for (name, value) in object.pointer(place).and_then(Value::as_object).into_iter().flatten() {
                self.set(&format!("{of}_{word}_{name}"), value.as_str().unwrap_or_default());
                self.set(&format!("{of}_{word}present_{name}"), "true");
            }
        }
    }

    fn service(&mut self, service: &Value) {
        self.set("service_name", text(service, "/metadata/name"));
        self.metadata("service", service);
    }

    fn pod(&mut self, pod: &Value) {
        self.set("pod_name", text(pod, "/metadata/name"));
        self.set("pod_ip", text(pod, "/status/podIP"));
        self.set("pod_phase", text(pod, "/status/phase"));
        self.set("pod_node_name", text(pod, "/spec/nodeName"));
        self.set("pod_host_ip", text(pod, "/status/hostIP"));
        self.set("pod_uid", text(pod, "/metadata/uid"));
        let ready =
            list(pod, "/status/conditions").iter().any(|it| it["type"] == "Ready" && it["status"] == "True");
        self.set("pod_ready", if ready { "true" } else { "false" });
        if let Some(owner) = list(pod, "/metadata/ownerReferences").iter().find(|it| it["controller"] == true)
        {
            self.set("pod_controller_kind", text(owner, "/kind"));
            self.set("pod_controller_name", text(owner, "/name"));
        }
        self.metadata("pod", pod);
    }

    fn container(&mut self, container: &Value, port: &Value) {
        self.set("pod_container_name", text(container, "/name"));
        self.set("pod_container_image", text(container, "/image"));
        if !port.is_null() {
            self.set("pod_container_port_name", text(port, "/name"));
            self.set("pod_container_port_number", &number(port, "/containerPort").to_string());
            let protocol = text(port, "/protocol");
            self.set("pod_container_port_protocol", if protocol.is_empty() { "TCP" } else { protocol });
        }
    }

    /// What an address stands for.
    fn reference(&mut self, of: &str, address: &Value) {
        self.set(&format!("{of}_address_target_kind"), text(address, "/targetRef/kind"));
        self.set(&format!("{of}_address_target_name"), text(address, "/targetRef/name"));
    }

    /// The Service in front of an address, and the pod behind it.
    fn behind(&mut self, object: &Value, service: &str, address: &Value, port: &Value, related: &Related) {
        let namespace = text(object, "/metadata/namespace");
        self.set("namespace", namespace);
        if let Some(service) = related.services.get(&(namespace.to_owned(), service.to_owned())) {
            self.service(service);
        }
        let name = text(address, "/targetRef/name");
        let pod = related.pods.get(&(namespace.to_owned(), name.to_owned()));
        let Some(pod) = pod.filter(|_| text(address, "/targetRef/kind") == "Pod") else { return };
        self.pod(pod);
        let named = containers(pod).find_map(|(container, _)| {
            let listed = list(container, "/ports").iter();
            Some((
                container,
                listed.clone().find(|it| number(it, "/containerPort") == number(port, "/port"))?,
            ))
        });
        if let Some((container, port)) = named {
            self.container(container, port);
        }
    }

    fn group(self, target: &str) -> Option<Value> {
        (!target.is_empty()).then(|| json!({"targets": [target], "labels": self.0}))
    }
}

/// Containers of a pod, and whether each is an init container.
fn containers(pod: &Value) -> impl Iterator<Item = (&Value, bool)> {
    let of = |place: &str, is_init: bool| list(pod, place).iter().map(move |container| (container, is_init));
    of("/spec/containers", false).chain(of("/spec/initContainers", true))
}

/// What a label's name may hold.
fn sanitized(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

fn bracketed(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() }
}

fn joined(ip: &str, port: u64) -> String {
    if ip.is_empty() { String::new() } else { format!("{}:{port}", bracketed(ip)) }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app.kubernetes.io/name": "web"}, "annotations": {"prometheus.io/scrape": "true"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": true}]},
            "spec": {"containers": [{"name": "app", "image": "a", "ports": [{"containerPort": 8080, "name": "http"}]}],
                "initContainers": [{"name": "istio-proxy"}]},
            "status": {"podIP": "10.0.0.1", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        })
    }

    fn label<'g>(group: &'g Value, name: &str) -> &'g str {
        group["labels"][format!("__meta_kubernetes_{name}")].as_str().unwrap_or_default()
    }

    #[test]
    fn every_port_of_a_pod_is_a_target_and_so_is_a_container_without() {
        let groups = pods(&[pod(), json!({"metadata": {"name": "waiting"}})]);
        assert_eq!(groups.len(), 2);
        assert_eq!(
            (&groups[0]["targets"][0], &groups[1]["targets"][0]),
            (&json!("10.0.0.1:8080"), &json!("10.0.0.1"))
        );
        for (name, value) in [
            ("namespace", "shop"),
            ("pod_name", "web-1"),
            ("pod_phase", "Running"),
            ("pod_ready", "true"),
            ("pod_label_app_kubernetes_io_name", "web"),
            ("pod_annotation_prometheus_io_scrape", "true"),
            ("pod_annotationpresent_prometheus_io_scrape", "true"),
            ("pod_container_port_name", "http"),
            ("pod_container_port_number", "8080"),
            ("pod_controller_name", "web"),
            ("pod_container_init", "false"),
        ] {
            assert_eq!(label(&groups[0], name), value, "{name}");
        }
        assert_eq!(label(&groups[1], "pod_container_init"), "true");
    }

    #[test]
    fn endpoints_know_the_service_before_them_and_the_pod_behind() {
        let service = json!({"metadata": {"name": "web", "namespace": "shop", "annotations": {"prometheus.io/port": "1"}},
            "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}});
        let related = Related {
            services: [(key(&service), service.clone())].into(),
            pods: [(key(&pod()), pod())].into(),
        };
        let object = json!({"metadata": {"name": "web", "namespace": "shop"}, "subsets": [{
            "addresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "web-1"}}], "ports": [{"name": "http", "port": 8080}]}]});
        let groups = endpoints(&[object], &related);
        assert_eq!(groups[0]["targets"], json!(["10.0.0.1:8080"]));
        for (name, value) in [
            ("service_name", "web"),
            ("service_annotation_prometheus_io_port", "1"),
            ("endpoint_ready", "true"),
            ("pod_name", "web-1"),
            ("pod_container_name", "app"),
        ] {
            assert_eq!(label(&groups[0], name), value, "{name}");
        }
        let slice = json!({"metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv6", "ports": [{"port": 8080}], "endpoints": [{"addresses": ["fd00::1"], "conditions": {"ready": true}}]});
        let groups = slices(&[slice], &related);
        assert_eq!(
            (&groups[0]["targets"][0], label(&groups[0], "service_name")),
            (&json!("[fd00::1]:8080"), "web")
        );
        let groups = services(&[service]);
        assert_eq!(
            (&groups[0]["targets"][0], label(&groups[0], "service_cluster_ip")),
            (&json!("web.shop.svc:80"), "10.96.0.1")
        );
    }

    #[test]
    fn nodes_are_reached_at_their_kubelet() {
        let node = json!({"metadata": {"name": "n"}, "status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "10.0.0.9"}]}});
        let groups = nodes(&[node]);
        assert_eq!(
            (&groups[0]["targets"][0], &groups[0]["labels"]["instance"]),
            (&json!("10.0.0.9:10250"), &json!("n"))
        );
    }
}
