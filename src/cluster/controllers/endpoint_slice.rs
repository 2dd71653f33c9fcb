//! EndpointSlices (and Endpoints, for older readers): where a Service's pods are, and which of them are ready.

mod mirror;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Reconciled;
use super::context::{Context, content_hash, controller_reference, text};
use super::pod_owner::{is_leaving, is_ready};
use crate::api_client::{ApiError, ResourceRef};

/// Label that names the Service of a slice.
const SERVICE: &str = "kubernetes.io/service-name";
/// Label that says whose slice it is: others' are left alone.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.kubernetes.io";
/// Most endpoints in one slice, as in Kubernetes.
const LARGEST: usize = 100;

/// True where a Service selects a pod by its labels.
pub(super) fn selects(service: &Value, pod: &Value) -> bool {
    let Some(selector) = service["spec"]["selector"].as_object().filter(|selector| !selector.is_empty())
    else {
        return false;
    };
    selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value)
}

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Reconciled {
    let Some(service) = context.get(&ResourceRef::SERVICES, namespace, name).await? else { return Ok(None) };
    let has_selector = service["spec"]["selector"].as_object().is_some_and(|selector| !selector.is_empty());
    if text(&service, "/spec/type") == "ExternalName" || service["metadata"]["deletionTimestamp"].is_string()
    {
        return Ok(None);
    }
    if !has_selector {
        mirror::reconcile(context, namespace, name).await?;
        return Ok(None);
    }
    let mut pods: Vec<Arc<Value>> = context.list(&ResourceRef::PODS, namespace).await?;
    pods.retain(|pod| selects(&service, pod) && is_reachable(pod));
    let families = families(&service);
    let wanted: Vec<Value> = families.iter().flat_map(|family| slices(&service, &pods, *family)).collect();
    write(context, namespace, (name, MANAGER), owned(context, &service), &wanted).await?;
    write_endpoints(context, namespace, name, &service, &pods, families[0]).await?;
    Ok(None)
}

fn is_reachable(pod: &Value) -> bool {
    !text(pod, "/status/podIP").is_empty() && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// A family of addresses: type of the slices that have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The pod's address of this family.
    fn address(self, pod: &Value) -> Option<&str> {
        let listed = pod["status"]["podIPs"].as_array().into_iter().flatten();
        let addresses = listed.filter_map(|one| one["ip"].as_str()).chain(pod["status"]["podIP"].as_str());
        addresses.into_iter().find(|address| address.contains(':') == (self == Self::V6))
    }
}

/// The families that a Service has slices of, its own order; never none.
fn families(service: &Value) -> Vec<Family> {
    let named = service["spec"]["ipFamilies"].as_array().into_iter().flatten();
    let families: Vec<Family> =
        named.map(|name| if name == "IPv6" { Family::V6 } else { Family::V4 }).collect();
    if families.is_empty() { vec![Family::V4] } else { families }
}

/// The Service's ports as a pod has them; a port whose name the pod does not know is left out.
fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let declared = service["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let resolved = declared.iter().filter_map(|port| {
        let target = match &port["targetPort"] {
            Value::String(name) => named_port(pod, name, text(port, "/protocol"))?,
            Value::Number(number) if number.as_i64() != Some(0) => number.as_i64()?,
            _ => port["port"].as_i64()?,
        };
        let mut entry = json!({ "name": text(port, "/name"), "port": target, "protocol": port["protocol"].as_str().unwrap_or("TCP") });
        if let Some(protocol) = port["appProtocol"].as_str() {
            entry["appProtocol"] = json!(protocol);
        }
        Some(entry)
    });
    resolved.collect()
}

fn named_port(pod: &Value, name: &str, protocol: &str) -> Option<i64> {
    let lists = ["containers", "initContainers"].into_iter().filter_map(|list| pod["spec"][list].as_array());
    let mut ports = lists.flatten().filter_map(|container| container["ports"].as_array()).flatten();
    let same = |port: &&Value| {
        port["name"] == name
            && port["protocol"].as_str().unwrap_or("TCP")
                == if protocol.is_empty() { "TCP" } else { protocol }
    };
    ports.find(same)?["containerPort"].as_i64()
}

fn endpoint(service: &Value, pod: &Value, address: &str) -> Value {
    let (ready, leaving) = (is_ready(pod), is_leaving(pod));
    let published = service["spec"]["publishNotReadyAddresses"] == true;
    let mut endpoint = json!({
        "addresses": [address],
        "conditions": { "ready": published || (ready && !leaving), "serving": published || ready, "terminating": leaving },
        "targetRef": { "kind": "Pod", "namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"] },
        "nodeName": pod["spec"]["nodeName"],
    });
    let hostname = text(pod, "/spec/hostname");
    if !hostname.is_empty() && text(pod, "/spec/subdomain") == text(service, "/metadata/name") {
        endpoint["hostname"] = json!(hostname);
    }
    endpoint
}

/// The slices of a family that ought to be: pods that resolve the ports alike stand together.
fn slices(service: &Value, pods: &[Arc<Value>], family: Family) -> Vec<Value> {
    let mut groups: BTreeMap<String, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for pod in pods {
        let Some(address) = family.address(pod) else { continue };
        let ports = ports(service, pod);
        let group = groups.entry(json!(ports).to_string()).or_insert_with(|| (ports, Vec::new()));
        group.1.push(endpoint(service, pod, address));
    }
    if groups.is_empty() {
        groups.insert(String::new(), (Vec::new(), Vec::new()));
    }
    let name = text(service, "/metadata/name");
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(SERVICE.to_owned(), json!(name));
    labels.insert(MANAGED_BY.to_owned(), json!(MANAGER));
    if text(service, "/spec/clusterIP") == "None" {
        labels.insert("service.kubernetes.io/headless".to_owned(), json!(""));
    }
    let mut wanted = Vec::new();
    for (key, (ports, mut endpoints)) in groups {
        endpoints.sort_by_key(|endpoint| text(endpoint, "/targetRef/name").to_owned());
        let chunks: Vec<&[Value]> =
            if endpoints.is_empty() { vec![&[]] } else { endpoints.chunks(LARGEST).collect() };
        for (index, chunk) in chunks.into_iter().enumerate() {
            let hash = match family {
                Family::V4 => content_hash(&json!([key, index])),
                Family::V6 => content_hash(&json!([key, index, family.name()])),
            };
            wanted.push(json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("{name}-{}", &hash[..5]),
                    "namespace": service["metadata"]["namespace"],
                    "labels": labels,
                    "ownerReferences": [controller_reference(&ResourceRef::SERVICES, service)],
                },
                "addressType": family.name(),
                "endpoints": chunk,
                "ports": ports,
            }));
        }
    }
    wanted
}

/// The slices that a Service owns; of all there are in a namespace they would be a few of many.
fn owned(context: &Context, service: &Value) -> Vec<Arc<Value>> {
    let dependents = context.api.dependents(text(service, "/metadata/uid")).into_iter();
    dependents.filter(|(kind, _)| *kind == ResourceRef::ENDPOINT_SLICES).map(|(_, slice)| slice).collect()
}

/// Makes the slices of a Service that `manager` has to care for, all of them among `known`, be those that are wanted.
async fn write(
    context: &Context,
    namespace: &str,
    (service, manager): (&str, &str),
    mut known: Vec<Arc<Value>>,
    wanted: &[Value],
) -> Result<(), ApiError> {
    known.retain(|slice| {
        slice["metadata"]["labels"][SERVICE] == service && slice["metadata"]["labels"][MANAGED_BY] == manager
    });
    for slice in wanted {
        let before = known
            .iter()
            .position(|known| known["metadata"]["name"] == slice["metadata"]["name"])
            .map(|index| known.swap_remove(index));
        match before {
            Some(before)
                if before["endpoints"] == slice["endpoints"]
                    && before["ports"] == slice["ports"]
                    && before["metadata"]["labels"] == slice["metadata"]["labels"] => {}
            Some(before) => {
                let mut changed = Value::clone(&before);
                for field in ["endpoints", "ports"] {
                    changed[field] = slice[field].clone();
                }
                changed["metadata"]["labels"] = slice["metadata"]["labels"].clone();
                context.api.update(&ResourceRef::ENDPOINT_SLICES, namespace, changed).await?;
            }
            None => drop(context.api.create(&ResourceRef::ENDPOINT_SLICES, namespace, slice.clone()).await?),
        }
    }
    for stale in known {
        context.delete(&ResourceRef::ENDPOINT_SLICES, &stale).await?;
    }
    Ok(())
}

async fn write_endpoints(
    context: &Context,
    namespace: &str,
    name: &str,
    service: &Value,
    pods: &[Arc<Value>],
    family: Family,
) -> Result<(), ApiError> {
    /// Addresses that are ready, those that are not, and their ports.
    type Subset = (Vec<Value>, Vec<Value>, Vec<Value>);
    let mut subsets: BTreeMap<String, Subset> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !is_leaving(pod)) {
        let Some(address) = family.address(pod) else { continue };
        let ports = ports(service, pod);
        let subset =
            subsets.entry(json!(ports).to_string()).or_insert_with(|| (Vec::new(), Vec::new(), ports));
        let endpoint = endpoint(service, pod, address);
        let address =
            json!({ "ip": address, "nodeName": endpoint["nodeName"], "targetRef": endpoint["targetRef"] });
        if endpoint["conditions"]["ready"] == true { subset.0.push(address) } else { subset.1.push(address) }
    }
    let subsets: Vec<Value> = subsets
        .into_values()
        .map(|(ready, late, ports)| {
            let mut subset = json!({ "ports": ports });
            for (field, addresses) in [("addresses", ready), ("notReadyAddresses", late)] {
                if !addresses.is_empty() {
                    subset[field] = json!(addresses);
                }
            }
            subset
        })
        .collect();
    let object = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": { "name": name, "namespace": namespace, "labels": service["metadata"]["labels"] },
        "subsets": subsets,
    });
    match context.get(&ResourceRef::ENDPOINTS, namespace, name).await? {
        Some(before) if before["subsets"].as_array().cloned().unwrap_or_default() == subsets => Ok(()),
        Some(before) => {
            let mut changed = Value::clone(&before);
            changed["subsets"] = json!(subsets);
            context.api.update(&ResourceRef::ENDPOINTS, namespace, changed).await.map(|_| ())
        }
        None => match context.api.create(&ResourceRef::ENDPOINTS, namespace, object).await {
            Err(error) if !error.is_already_exists() => Err(error),
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, ip: &str, port: i64, ready: &str) -> Arc<Value> {
        Arc::new(json!({
            "metadata": { "name": name, "namespace": "n", "uid": name, "labels": { "app": "a" } },
            "spec": { "nodeName": "node", "containers": [{ "ports": [{ "name": "web", "containerPort": port }] }] },
            "status": { "podIP": ip, "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] },
        }))
    }

    #[test]
    fn pods_that_resolve_a_name_differently_stand_apart() {
        let service = json!({
            "metadata": { "name": "s", "namespace": "n", "uid": "u" },
            "spec": { "selector": { "app": "a" }, "ports": [{ "name": "http", "port": 80, "targetPort": "web" }] },
        });
        let pods = [
            pod("p1", "10.0.0.1", 8080, "True"),
            pod("p2", "10.0.0.2", 8080, "False"),
            pod("p3", "10.0.0.3", 9090, "True"),
        ];
        assert!(pods.iter().all(|pod| selects(&service, pod)));
        let slices = slices(&service, &pods, Family::V4);
        assert_eq!(slices.len(), 2);
        let of = |port: i64| slices.iter().find(|slice| slice["ports"][0]["port"] == port).expect("a slice");
        let ready: Vec<&Value> = of(8080)["endpoints"]
            .as_array()
            .expect("endpoints")
            .iter()
            .map(|endpoint| &endpoint["conditions"]["ready"])
            .collect();
        assert_eq!(ready, [true, false]);
        assert_eq!(of(9090)["endpoints"][0]["addresses"][0], "10.0.0.3");
    }

    #[test]
    fn slices_of_a_family_have_the_pods_that_have_it() {
        let service = json!({
            "metadata": { "name": "s", "namespace": "n", "uid": "u" },
            "spec": { "selector": { "app": "a" }, "ports": [{ "port": 80 }], "ipFamilies": ["IPv6", "IPv4"] },
        });
        let mut both = Value::clone(&pod("p1", "10.0.0.1", 8080, "True"));
        both["status"]["podIPs"] = json!([{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }]);
        let pods = [Arc::new(both), pod("p2", "10.0.0.2", 8080, "True")];
        assert_eq!(families(&service), [Family::V6, Family::V4]);
        let listed = |family: Family| {
            let slices = slices(&service, &pods, family);
            let endpoints = slices[0]["endpoints"].as_array().cloned().unwrap_or_default();
            (
                slices[0]["addressType"].clone(),
                endpoints.iter().map(|endpoint| endpoint["addresses"][0].clone()).collect::<Vec<_>>(),
                slices[0]["metadata"]["name"].clone(),
            )
        };
        let (first, second) = (listed(Family::V6), listed(Family::V4));
        assert_eq!((first.0, first.1), (json!("IPv6"), vec![json!("fd00::1")]));
        assert_eq!((second.0, second.1), (json!("IPv4"), vec![json!("10.0.0.1"), json!("10.0.0.2")]));
        assert_ne!(first.2, second.2);
    }
}
