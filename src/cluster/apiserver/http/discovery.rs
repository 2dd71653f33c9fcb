//! Discovery: which groups, versions and resources there are, in the old and the aggregated form.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::json_response;
use crate::apiserver::registry::{ResourceDefinition, Resources};

const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// `/api`.
pub(super) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`.
pub(super) fn groups(resources: &Resources) -> Value {
    let names = resources.groups().map(|(name, _)| name).filter(|name| !name.is_empty());
    let groups: Vec<Value> = names.filter_map(|name| describe_group(resources, name)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(super) fn group(resources: &Resources, name: &str) -> Option<Value> {
    let mut group = describe_group(resources, name).filter(|_| !name.is_empty())?;
    group["kind"] = json!("APIGroup");
    group["apiVersion"] = json!("v1");
    Some(group)
}

fn describe_group(resources: &Resources, name: &str) -> Option<Value> {
    let versions = resources.versions_of(name);
    let preferred = versions.first()?;
    let describe =
        |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let listed: Vec<Value> = versions.iter().map(describe).collect();
    Some(json!({"name": name, "versions": listed, "preferredVersion": describe(preferred)}))
}

/// One subresource: name, kind with group and version, verbs.
struct Subresource {
    name: &'static str,
    kind: (&'static str, &'static str, &'static str),
    verbs: &'static [&'static str],
}

const fn subresource(
    name: &'static str,
    kind: (&'static str, &'static str, &'static str),
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource { name, kind, verbs }
}

const CONNECT: &[&str] = &["create", "get"];
const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];
const CREATE: &[&str] = &["create"];
const CHANGE: &[&str] = &["get", "patch", "update"];

fn subresources(definition: &ResourceDefinition, version: &str) -> Vec<Subresource> {
    let mut list = Vec::new();
    let details = definition.version_or_storage(version);
    if !definition.custom {
        match (&*definition.reference.group, &*definition.reference.plural) {
            ("", "pods") => list.extend([
                subresource("attach", ("", "v1", "PodAttachOptions"), CONNECT),
                subresource("binding", ("", "v1", "Binding"), CREATE),
                subresource("ephemeralcontainers", ("", "v1", "Pod"), CHANGE),
                subresource("eviction", ("policy", "v1", "Eviction"), CREATE),
                subresource("exec", ("", "v1", "PodExecOptions"), CONNECT),
                subresource("log", ("", "v1", "Pod"), &["get"]),
                subresource("portforward", ("", "v1", "PodPortForwardOptions"), CONNECT),
                subresource("proxy", ("", "v1", "PodProxyOptions"), PROXY),
            ]),
            ("", "services") => list.push(subresource("proxy", ("", "v1", "ServiceProxyOptions"), PROXY)),
            ("", "serviceaccounts") => {
                list.push(subresource("token", ("authentication.k8s.io", "v1", "TokenRequest"), CREATE))
            }
            ("", "namespaces") => list.push(subresource("finalize", ("", "v1", "Namespace"), &["update"])),
            _ => {}
        }
    }
    if details.scale.is_some() {
        list.push(subresource("scale", ("autoscaling", "v1", "Scale"), CHANGE));
    }
    if details.status {
        list.push(subresource("status", ("", "", ""), CHANGE));
    }
    list
}

fn verbs(definition: &ResourceDefinition) -> Value {
    if definition.create_only {
        return json!(["create"]);
    }
    if definition.measured {
        return json!(["get", "list"]);
    }
    // Namespaces go one by one.
    let reference = &definition.reference;
    let single = reference.group.is_empty() && reference.plural == "namespaces";
    let kept = |verb: &&&str| !(single && **verb == "deletecollection");
    json!(ALL_VERBS.iter().filter(kept).collect::<Vec<_>>())
}

/// `/api/v1`, `/apis/GROUP/VERSION`.
pub(super) fn resources(resources: &Resources, group: &str, version: &str) -> Option<Value> {
    let mut listed = Vec::new();
    for definition in in_version(resources, group, version) {
        let reference = &definition.reference;
        let mut entry = json!({
            "name": reference.plural, "singularName": definition.singular, "namespaced": reference.namespaced, "kind": reference.kind,
            "verbs": verbs(definition), "storageVersionHash": "",
        });
        for (field, words) in
            [("shortNames", &definition.short_names), ("categories", &definition.categories)]
        {
            if !words.is_empty() {
                entry[field] = json!(words);
            }
        }
        listed.push(entry);
        for one in subresources(definition, version) {
            let (group, version, kind) = one.kind;
            let kind = if kind.is_empty() { &*reference.kind } else { kind };
            let mut entry = json!({
                "name": format!("{}/{}", reference.plural, one.name), "singularName": "", "namespaced": reference.namespaced,
                "kind": kind, "verbs": one.verbs,
            });
            // What is of the resource's own group and version says so by saying nothing.
            if !version.is_empty() && !group.is_empty() {
                entry["group"] = json!(group);
                entry["version"] = json!(version);
            }
            listed.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let exists = !listed.is_empty();
    exists.then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}))
}

fn in_version<'a>(
    resources: &'a Resources,
    group: &str,
    version: &str,
) -> impl Iterator<Item = &'a ResourceDefinition> {
    let version = version.to_owned();
    let found = resources.groups().find(|(name, _)| *name == group).map(|(_, found)| found);
    found
        .into_iter()
        .flat_map(|found| found.values())
        .map(|one| &**one)
        .filter(move |one| one.version(&version).is_some())
}

/// The aggregated form (`apidiscovery.k8s.io/v2`): everything in one answer.
pub(super) fn aggregated(resources: &Resources, core: bool) -> Response<Body> {
    let names = resources.groups().map(|(name, _)| name).filter(|name| name.is_empty() == core);
    let items: Vec<Value> = names.map(|name| aggregated_group(resources, name)).collect();
    let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items});
    let mut response = json_response(StatusCode::OK, &list);
    let content_type =
        HeaderValue::from_static("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn aggregated_group(resources: &Resources, group: &str) -> Value {
    let versions: Vec<Value> = resources
        .versions_of(group)
        .into_iter()
        .map(|version| {
            let listed: Vec<Value> = in_version(resources, group, &version)
                .map(|one| aggregated_resource(one, group, &version))
                .collect();
            json!({"version": version, "resources": listed, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(definition: &ResourceDefinition, group: &str, version: &str) -> Value {
    let reference = &definition.reference;
    let kind =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let below: Vec<Value> = subresources(definition, version)
        .into_iter()
        .map(|one| {
            let response = if one.kind.2.is_empty() {
                kind(group, version, &reference.kind)
            } else {
                kind(one.kind.0, one.kind.1, one.kind.2)
            };
            json!({"subresource": one.name, "responseKind": response, "verbs": one.verbs})
        })
        .collect();
    let mut entry = json!({
        "resource": reference.plural, "responseKind": kind(group, version, &reference.kind),
        "scope": if reference.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": definition.singular, "verbs": verbs(definition),
    });
    for (field, words) in [("shortNames", &definition.short_names), ("categories", &definition.categories)] {
        if !words.is_empty() {
            entry[field] = json!(words);
        }
    }
    if !below.is_empty() {
        entry["subresources"] = json!(below);
    }
    entry
}
