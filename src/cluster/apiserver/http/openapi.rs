//! OpenAPI documents, one per group and version: schemas for `explain`, and paths whose query parameters tell kubectl that the
//! server validates fields.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::apiserver::registry::{ResourceDefinition, Resources};
use crate::apiserver::schema::{self, SchemaKind};

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// `/openapi/v3`.
pub(super) fn index(resources: &Resources) -> Value {
    let mut paths = Map::new();
    for (group, _) in resources.groups() {
        for version in resources.versions_of(group) {
            let path = path_of(group, &version);
            // The hash lets clients cache a document until the resources change.
            let hash = format!("{:016X}", resources.revision);
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

/// `/openapi/v3/apis/GROUP/VERSION`.
pub(super) fn document(resources: &Resources, group: &str, version: &str) -> Option<Value> {
    let found = resources.all().filter(|one| one.reference.group == group && one.version(version).is_some());
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for definition in found {
        let name = add_schema(definition, group, version, &mut schemas);
        add_paths(definition, group, version, &name, &mut paths);
    }
    if paths.is_empty() {
        return None;
    }
    add_referenced(&mut schemas);
    Some(
        json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": super::GIT_VERSION}, "paths": paths,
        "components": {"schemas": schemas}}),
    )
}

/// The component of a kind. Built-in kinds are named types, kinds of CRDs are `io.istio.networking.v1.VirtualService`.
fn add_schema(
    definition: &ResourceDefinition,
    group: &str,
    version: &str,
    schemas: &mut Map<String, Value>,
) -> String {
    let kind = &definition.reference.kind;
    let root = &definition.version_or_storage(version).schema;
    let name = match &root.kind {
        SchemaKind::Reference(name) => schema::component_name(name),
        _ => {
            let reversed: Vec<&str> = group.split('.').rev().collect();
            format!("{}.{version}.{kind}", reversed.join("."))
        }
    };
    let mut component = schema::to_openapi(root.resolved());
    component["x-kubernetes-group-version-kind"] =
        json!([{"group": group, "version": version, "kind": kind}]);
    schemas.insert(name.clone(), component);
    name
}

/// Puts in what the schemas refer to, until nothing is missing.
fn add_referenced(schemas: &mut Map<String, Value>) {
    let known = schema::named_types();
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    schemas.values().for_each(|one| collect_references(one, &mut wanted));
    while let Some(name) = wanted.pop_first() {
        if schemas.contains_key(&name) {
            continue;
        }
        let component = known.get(&name).cloned().unwrap_or_else(|| json!({}));
        collect_references(&component, &mut wanted);
        schemas.insert(name, component);
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|path| path.strip_prefix("#/components/schemas/"))
            {
                found.insert(name.to_owned());
            }
            map.values().for_each(|one| collect_references(one, found));
        }
        Value::Array(items) => items.iter().for_each(|one| collect_references(one, found)),
        _ => {}
    }
}

fn add_paths(
    definition: &ResourceDefinition,
    group: &str,
    version: &str,
    schema: &str,
    paths: &mut Map<String, Value>,
) {
    let reference = &definition.reference;
    let kind = json!({"group": group, "version": version, "kind": reference.kind});
    let base = path_of(group, version);
    let collection = if reference.namespaced {
        format!("/{base}/namespaces/{{namespace}}/{}", reference.plural)
    } else {
        format!("/{base}/{}", reference.plural)
    };
    let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
    let parameter = |name: &str, kind: &str| json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}});
    let write = vec![
        parameter("dryRun", "string"),
        parameter("fieldManager", "string"),
        parameter("fieldValidation", "string"),
    ];
    let operation = |action: &str, parameters: &[Value]| {
        json!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind, "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": content}}})
    };
    let list = [
        parameter("labelSelector", "string"),
        parameter("fieldSelector", "string"),
        parameter("limit", "integer"),
        parameter("continue", "string"),
        parameter("resourceVersion", "string"),
        parameter("watch", "boolean"),
    ];
    if definition.create_only {
        paths.insert(collection, json!({"post": operation("post", &write)}));
        return;
    }
    if definition.measured {
        paths.insert(format!("{collection}/{{name}}"), json!({"get": operation("get", &[])}));
        paths.insert(collection, json!({"get": operation("list", &list)}));
        return;
    }
    let mut patch_parameters = write.clone();
    patch_parameters.push(parameter("force", "boolean"));
    let mut one = json!({"get": operation("get", &[]), "put": operation("put", &write), "patch": operation("patch", &patch_parameters),
        "delete": operation("delete", &[parameter("dryRun", "string"), parameter("gracePeriodSeconds", "integer"), parameter("propagationPolicy", "string")])});
    one["parameters"] =
        json!([{"name": "name", "in": "path", "required": true, "schema": {"type": "string"}}]);
    paths.insert(format!("{collection}/{{name}}"), one);
    paths.insert(collection, json!({"get": operation("list", &list), "post": operation("post", &write), "delete": operation("deletecollection", &list)}));
}

/// `/openapi/v2`: the schemas of everything, for clients that know no other version.
pub(super) fn version_2(resources: &Resources) -> Value {
    let mut schemas = Map::new();
    for definition in resources.all() {
        for version in definition.versions.iter().filter(|version| version.served) {
            add_schema(definition, &definition.reference.group, &version.name, &mut schemas);
        }
    }
    add_referenced(&mut schemas);
    let mut definitions = Value::Object(schemas);
    rewrite_references(&mut definitions);
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": super::GIT_VERSION}, "paths": {}, "definitions": definitions})
}

fn rewrite_references(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // Version 2 has references without siblings instead of `allOf`.
            let reference = map
                .get("allOf")
                .and_then(|all| all[0]["$ref"].as_str())
                .map(|path| path.replace("#/components/schemas/", "#/definitions/"));
            if let Some(reference) = reference {
                map.remove("allOf");
                map.insert("$ref".to_owned(), json!(reference));
            }
            map.values_mut().for_each(rewrite_references);
        }
        Value::Array(items) => items.iter_mut().for_each(rewrite_references),
        _ => {}
    }
}
