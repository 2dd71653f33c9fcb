//! Slices of Services without a selector: what somebody wrote into their Endpoints, in the form that is read today.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::context::{Context, content_hash, controller_reference, text};
use super::{LARGEST, MANAGED_BY, SERVICE, write};
use crate::api_client::{ApiError, ResourceRef};

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Label of Endpoints whose slices somebody else writes.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";

pub(super) async fn reconcile(context: &Context, namespace: &str, name: &str) -> Result<(), ApiError> {
    let endpoints = context.get(&ResourceRef::ENDPOINTS, namespace, name).await?;
    let meant = endpoints.filter(|endpoints| endpoints["metadata"]["labels"][SKIP] != "true");
    let wanted = meant.map(|endpoints| slices(&endpoints)).unwrap_or_default();
    // Their owner may be gone already.
    let known = context.list(&ResourceRef::ENDPOINT_SLICES, namespace).await?;
    write(context, namespace, (name, MANAGER), known, &wanted).await
}

/// One slice for each subset and family of addresses.
fn slices(endpoints: &Value) -> Vec<Value> {
    let mut wanted = Vec::new();
    for (index, subset) in endpoints["subsets"].as_array().into_iter().flatten().enumerate() {
        for family in ["IPv4", "IPv6"] {
            let listed = of_family(subset, family);
            for (chunk, part) in listed.chunks(LARGEST).enumerate() {
                wanted.push(slice(endpoints, subset, family, part, &json!([index, family, chunk])));
            }
        }
    }
    wanted
}

/// Endpoints of a family: those that are ready first.
fn of_family(subset: &Value, family: &str) -> Vec<Value> {
    let mut made = Vec::new();
    for (field, ready) in [("addresses", true), ("notReadyAddresses", false)] {
        for address in subset[field].as_array().into_iter().flatten() {
            let Ok(ip) = text(address, "/ip").parse::<IpAddr>() else { continue };
            if ip.is_ipv6() != (family == "IPv6") {
                continue;
            }
            let mut one = json!({ "addresses": [ip.to_string()], "conditions": { "ready": ready } });
            for field in ["hostname", "nodeName", "targetRef"] {
                if !address[field].is_null() {
                    one[field] = address[field].clone();
                }
            }
            made.push(one);
        }
    }
    made
}

fn slice(endpoints: &Value, subset: &Value, family: &str, part: &[Value], key: &Value) -> Value {
    let name = text(endpoints, "/metadata/name");
    let mut labels = endpoints["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(SERVICE.to_owned(), json!(name));
    labels.insert(MANAGED_BY.to_owned(), json!(MANAGER));
    let ports: Vec<Value> = subset["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let mut port = port.clone();
            if port["name"].is_null() {
                port["name"] = json!("");
            }
            if port["protocol"].is_null() {
                port["protocol"] = json!("TCP");
            }
            port
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-{}", &content_hash(key)[..5]),
            "namespace": endpoints["metadata"]["namespace"],
            "labels": labels,
            "ownerReferences": [controller_reference(&ResourceRef::ENDPOINTS, endpoints)],
        },
        "addressType": family,
        "endpoints": part,
        "ports": ports,
    })
}
