//! The built-in types, read once from the table that the build script derives from the published API.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use super::{ListMerge, Schema, SchemaKind};

static TABLE: &str = include_str!(concat!(env!("OUT_DIR"), "/kubernetes.schema"));

/// Struct types that are owned as a whole (`x-kubernetes-map-type: atomic`).
const ATOMIC_TYPES: &[&str] = &[
    "LabelSelector",
    "ObjectReference",
    "LocalObjectReference",
    "SecretReference",
    "ConfigMapKeySelector",
    "SecretKeySelector",
    "ObjectFieldSelector",
    "ResourceFieldSelector",
    "NodeSelector",
    "NodeSelectorTerm",
    "TypedLocalObjectReference",
    "EndpointAddress",
    "EndpointPort",
    "ScopeSelector",
    "RoleRef",
    "Subject",
    "TopologySelectorTerm",
    "AggregationRule",
];

struct Types {
    by_name: HashMap<&'static str, Schema>,
    /// Group, version, kind to type name.
    by_kind: HashMap<(&'static str, &'static str, &'static str), &'static str>,
}

fn types() -> &'static Types {
    static TYPES: OnceLock<Types> = OnceLock::new();
    TYPES.get_or_init(parse)
}

/// The schema of a built-in kind; anything goes when the table does not know it.
pub(crate) fn builtin(group: &str, version: &str, kind: &str) -> Schema {
    match types().by_kind.get(&(group, version, kind)) {
        Some(name) => Schema::of(SchemaKind::Reference(name)),
        None => Schema::of(SchemaKind::Any),
    }
}

/// A reference to a named type.
pub(crate) fn named(name: &'static str) -> Schema {
    Schema::of(SchemaKind::Reference(name))
}

/// The schema of a named type. Unknown names allow anything.
pub(super) fn by_name(name: &str) -> &'static Schema {
    static ANY: Schema = Schema {
        kind: SchemaKind::Any,
        description: String::new(),
        nullable: false,
        atomic: false,
        required: Vec::new(),
        default: None,
        rules: None,
    };
    types().by_name.get(name).unwrap_or(&ANY)
}

fn parse() -> Types {
    let mut types = Types { by_name: HashMap::new(), by_kind: HashMap::new() };
    let mut current: Option<(&'static str, Schema)> = None;
    for line in TABLE.lines() {
        let columns: Vec<&'static str> = line.split('\t').collect();
        match columns.as_slice() {
            ["T", name, group, version, kind, docs] => {
                if let Some((name, schema)) = current.take() {
                    types.by_name.insert(name, schema);
                }
                if !kind.is_empty() {
                    types.by_kind.insert((group, version, kind), name);
                }
                current = Some((name, object_type(name, !kind.is_empty(), docs)));
            }
            ["F", name, encoded, merge, required, docs] => {
                if let Some((_, schema)) = &mut current {
                    add_field(schema, name, encoded, merge, *required == "1", docs);
                }
            }
            _ => {}
        }
    }
    if let Some((name, schema)) = current {
        types.by_name.insert(name, schema);
    }
    types
}

fn object_type(name: &str, top_level: bool, docs: &str) -> Schema {
    let mut fields = BTreeMap::new();
    if top_level {
        fields.insert("apiVersion".to_owned(), Schema::of(SchemaKind::Text));
        fields.insert("kind".to_owned(), Schema::of(SchemaKind::Text));
    }
    let short = name.rsplit('.').next().unwrap_or(name);
    Schema {
        kind: SchemaKind::Object { fields, preserve: false },
        description: unescape(docs),
        atomic: ATOMIC_TYPES.contains(&short),
        ..Schema::default()
    }
}

fn add_field(
    schema: &mut Schema,
    name: &str,
    encoded: &'static str,
    merge: &str,
    required: bool,
    docs: &str,
) {
    let SchemaKind::Object { fields, .. } = &mut schema.kind else { return };
    let mut field = decode(encoded);
    field.description = unescape(docs);
    if let SchemaKind::List { merge: list_merge, .. } = &mut field.kind {
        *list_merge = match merge.split_once(':') {
            Some(("m", keys)) => ListMerge::Map(list_keys(name, keys)),
            _ if merge == "s" => ListMerge::Set,
            _ => ListMerge::Atomic,
        };
    }
    field.atomic = merge == "A";
    if required && name != "metadata" {
        schema.required.push(name.to_owned());
    }
    fields.insert(name.to_owned(), field);
}

/// The source names the patch merge key alone; these lists have a second key (`x-kubernetes-list-map-keys`).
fn list_keys(field: &str, keys: &str) -> Vec<String> {
    let second = match (field, keys) {
        ("ports", "containerPort" | "port") => Some("protocol"),
        ("topologySpreadConstraints", "topologyKey") => Some("whenUnsatisfiable"),
        _ => None,
    };
    keys.split(',').chain(second).map(str::to_owned).collect()
}

fn unescape(docs: &str) -> String {
    docs.replace("\\n", "\n")
}

fn decode(encoded: &'static str) -> Schema {
    let rest = encoded.get(1..).unwrap_or("");
    Schema::of(match encoded.as_bytes().first() {
        Some(b's') => SchemaKind::Text,
        Some(b'i') => SchemaKind::Integer { bits: 32 },
        Some(b'l') => SchemaKind::Integer { bits: 64 },
        Some(b'f') => SchemaKind::Number,
        Some(b'b') => SchemaKind::Boolean,
        Some(b't' | b'u') => SchemaKind::Time,
        Some(b'q') => SchemaKind::Quantity,
        Some(b'o') => SchemaKind::IntOrString,
        Some(b'y') => SchemaKind::Bytes,
        Some(b'[') => SchemaKind::List { item: Box::new(decode(rest)), merge: ListMerge::Atomic },
        Some(b'{') => SchemaKind::Map(Box::new(decode(rest))),
        Some(b'#') => SchemaKind::Reference(rest),
        _ => SchemaKind::Any,
    })
}

/// Every type name, for OpenAPI.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    types().by_name.keys().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_types_and_merge_keys() {
        let pod = builtin("", "v1", "Pod");
        let containers = pod.field("spec").and_then(|spec| spec.field("containers")).unwrap();
        let (container, merge) = containers.list().unwrap();
        assert_eq!(*merge, ListMerge::Map(vec!["name".to_owned()]));
        let ports = container.field("ports").unwrap().list().unwrap();
        assert_eq!(*ports.1, ListMerge::Map(vec!["containerPort".to_owned(), "protocol".to_owned()]));
        let service = builtin("", "v1", "Service");
        let spec = service.field("spec").unwrap();
        assert!(spec.field("selector").unwrap().atomic);
        assert!(spec.field("clusterIPs").is_some());
        for (group, version, kind) in
            [("apps", "v1", "Deployment"), ("apiextensions.k8s.io", "v1", "CustomResourceDefinition")]
        {
            assert!(builtin(group, version, kind).field("spec").is_some(), "{kind}");
        }
        let meta = service.field("metadata").unwrap();
        assert!(meta.field("managedFields").is_some());
        assert_eq!(meta.field("finalizers").unwrap().list().unwrap().1, &ListMerge::Set);
    }
}
