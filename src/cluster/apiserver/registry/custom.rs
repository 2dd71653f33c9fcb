//! CustomResourceDefinitions: defaults, validation, status, and the resource they define.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{PrinterColumn, ResourceDefinition, ScalePaths, VersionDefinition};
use crate::api_client::ResourceRef;
use crate::apiserver::error::Cause;
use crate::apiserver::object_meta::{self, NameRule, wrong_name};
use crate::apiserver::operations::Operations;
use crate::apiserver::schema;

/// What Kubernetes fills in.
pub(crate) fn apply_defaults(crd: &mut Value) {
    let spec = &mut crd["spec"];
    let Some(map) = spec.as_object_mut() else { return };
    map.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    let names = &mut spec["names"];
    let kind = names["kind"].as_str().unwrap_or("").to_owned();
    if names.is_object() && !kind.is_empty() {
        if names["singular"].as_str().unwrap_or("").is_empty() {
            names["singular"] = json!(kind.to_lowercase());
        }
        if names["listKind"].as_str().unwrap_or("").is_empty() {
            names["listKind"] = json!(format!("{kind}List"));
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("")
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Every problem of a CRD.
pub(crate) fn validate(operations: &Operations, crd: &Value, causes: &mut Vec<Cause>) {
    let spec = &crd["spec"];
    let (group, plural) = (text(spec, "group"), text(&spec["names"], "plural"));
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else if let Some(detail) = wrong_name(group, NameRule::Subdomain) {
        causes.push(Cause::invalid("spec.group", &spec["group"], &detail));
    }
    for field in ["plural", "kind"] {
        if text(&spec["names"], field).is_empty() {
            causes.push(Cause::required(format!("spec.names.{field}"), ""));
        }
    }
    if crd["metadata"]["name"] != format!("{plural}.{group}") {
        causes.push(Cause::invalid(
            "metadata.name",
            &crd["metadata"]["name"],
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if !matches!(text(spec, "scope"), "Namespaced" | "Cluster") {
        let supported = ["Cluster".to_owned(), "Namespaced".to_owned()];
        causes.push(Cause::not_supported("spec.scope", &spec["scope"], &supported));
    }
    if spec["conversion"]["strategy"] != "None" {
        let detail = "only the conversion strategy None is available in this cluster";
        causes.push(Cause::invalid("spec.conversion.strategy", &spec["conversion"]["strategy"], detail));
    }
    if operations.registry.current().get(group, plural).is_some_and(|known| !known.custom) {
        causes.push(Cause::invalid(
            "spec.names.plural",
            &json!(plural),
            "is a built-in resource of this group",
        ));
    }
    validate_versions(spec, causes);
}

fn validate_versions(spec: &Value, causes: &mut Vec<Cause>) {
    let versions = spec["versions"].as_array();
    let storage = versions.into_iter().flatten().filter(|version| version["storage"] == true).count();
    if storage != 1 {
        causes.push(Cause::invalid(
            "spec.versions",
            &Value::Null,
            "must have exactly one version marked as storage version",
        ));
    }
    for (at, version) in versions.into_iter().flatten().enumerate() {
        let path = format!("spec.versions[{at}]");
        if text(version, "name").is_empty() {
            causes.push(Cause::required(format!("{path}.name"), ""));
        }
        let source = &version["schema"]["openAPIV3Schema"];
        if !source.is_object() {
            causes.push(Cause::required(format!("{path}.schema.openAPIV3Schema"), "schemas are required"));
            continue;
        }
        if let Err(error) = schema::from_crd(source) {
            let field = format!("{path}.schema.{}", error.path);
            causes.push(Cause { reason: "FieldValueInvalid".to_owned(), message: error.message, field });
        }
    }
}

/// Names and scope stay.
pub(crate) fn validate_update(crd: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for (field, new, old) in [
        ("spec.group", &crd["spec"]["group"], &old["spec"]["group"]),
        ("spec.scope", &crd["spec"]["scope"], &old["spec"]["scope"]),
        ("spec.names.plural", &crd["spec"]["names"]["plural"], &old["spec"]["names"]["plural"]),
        ("spec.names.kind", &crd["spec"]["names"]["kind"], &old["spec"]["names"]["kind"]),
    ] {
        if new != old {
            causes.push(Cause::invalid(field, new, "field is immutable"));
        }
    }
}

/// The status of an established CRD. There is one server, so the names are accepted and served at once.
pub(crate) fn establish(crd: &mut Value, old: Option<&Value>) {
    let now = object_meta::now();
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message});
    let kept = old.map(|old| old["status"]["conditions"].clone()).filter(Value::is_array);
    let conditions = kept.unwrap_or_else(|| {
        json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ])
    });
    let mut stored = old.map(|old| texts(&old["status"]["storedVersions"])).unwrap_or_default();
    let storage =
        crd["spec"]["versions"].as_array().into_iter().flatten().find(|version| version["storage"] == true);
    if let Some(name) = storage.and_then(|version| version["name"].as_str())
        && !stored.iter().any(|known| known == name)
    {
        stored.push(name.to_owned());
    }
    crd["status"] =
        json!({"acceptedNames": crd["spec"]["names"], "conditions": conditions, "storedVersions": stored});
}

/// The status of a CRD that waits for its finalizers.
pub(crate) fn mark_terminating(crd: &mut Value) {
    let condition = json!({"type": "Terminating", "status": "True", "lastTransitionTime": object_meta::now(),
        "reason": "InstanceDeletionPending", "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"});
    if let Some(conditions) = crd["status"]["conditions"].as_array_mut() {
        conditions.push(condition);
    }
}

/// The resource that a valid CRD defines; `None` when it cannot be read.
pub(crate) fn definition(crd: &Value) -> Option<ResourceDefinition> {
    let spec = &crd["spec"];
    let names = &spec["names"];
    let group = text(spec, "group");
    let plural = text(names, "plural");
    let versions: Vec<VersionDefinition> = spec["versions"].as_array()?.iter().filter_map(version).collect();
    let storage = spec["versions"].as_array()?.iter().find(|version| version["storage"] == true)?;
    let namespaced = text(spec, "scope") == "Namespaced";
    if versions.is_empty() {
        return None;
    }
    Some(ResourceDefinition {
        reference: ResourceRef::new(group, text(storage, "name"), plural, text(names, "kind"), namespaced),
        table: format!("{group}/{plural}").into(),
        singular: text(names, "singular").to_owned(),
        list_kind: text(names, "listKind").to_owned(),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        versions,
        custom: true,
        create_only: false,
        measured: false,
    })
}

fn version(source: &Value) -> Option<VersionDefinition> {
    let subresources = &source["subresources"];
    let path = |value: &Value| value.as_str().map(|path| path.trim_start_matches('.').to_owned());
    let scale = subresources["scale"].is_object().then(|| ScalePaths {
        spec_replicas: path(&subresources["scale"]["specReplicasPath"]).unwrap_or_default(),
        status_replicas: path(&subresources["scale"]["statusReplicasPath"]).unwrap_or_default(),
        selector: path(&subresources["scale"]["labelSelectorPath"]),
    });
    let columns = source["additionalPrinterColumns"].as_array().into_iter().flatten().map(column);
    let selectable = source["selectableFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|field| path(&field["jsonPath"]));
    let deprecated = source["deprecated"] == true;
    Some(VersionDefinition {
        name: source["name"].as_str()?.to_owned(),
        served: source["served"] == true,
        schema: Arc::new(schema::from_crd(&source["schema"]["openAPIV3Schema"]).ok()?),
        status: subresources["status"].is_object(),
        scale,
        columns: columns.collect(),
        selectable_fields: selectable.collect(),
        deprecation_warning: deprecated.then(|| {
            source["deprecationWarning"].as_str().unwrap_or("this version is deprecated").to_owned()
        }),
    })
}

fn column(source: &Value) -> PrinterColumn {
    PrinterColumn {
        name: text(source, "name").to_owned(),
        column_type: text(source, "type").to_owned(),
        format: text(source, "format").to_owned(),
        description: text(source, "description").to_owned(),
        json_path: text(source, "jsonPath").to_owned(),
        priority: source["priority"].as_i64().unwrap_or(0),
    }
}
