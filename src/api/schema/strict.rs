//! The strict reading: which fields of an object its kind does not know. Reading itself ignores them, as the API server
//! prunes them; whoever writes configuration wants to hear about them.

use std::fmt;

use serde_json::Value;

use crate::shape::{Record, Shape};

/// Where a field stands, such as `spec.http[0].timout`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(pub Vec<PathSegment>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathSegment {
    /// A key of an object.
    Key(String),
    /// A place in a list.
    Index(usize),
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                PathSegment::Index(index) => write!(formatter, "[{index}]")?,
                PathSegment::Key(key) if key.contains(['.', '/', '[']) => write!(formatter, "[{key}]")?,
                PathSegment::Key(key) if position == 0 => formatter.write_str(key)?,
                PathSegment::Key(key) => write!(formatter, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// The fields of an Istio object below `spec` that its kind does not know; none for a kind that is not Istio's.
pub fn unknown_fields(kind: &str, object: &Value) -> Vec<FieldPath> {
    let mut found = Vec::new();
    if let (Some(schema), Some(spec)) = (crate::istio::crd::spec_schema(kind), object.get("spec")) {
        let mut path = vec![PathSegment::Key("spec".to_owned())];
        walk(schema, spec, &mut path, &mut found);
    }
    found
}

/// The fields of `value` that shape `T` does not know.
pub fn unknown_fields_of<T: Shape>(value: &Value) -> Vec<FieldPath> {
    let mut found = Vec::new();
    walk(&T::schema(), value, &mut Vec::new(), &mut found);
    found
}

/// The names of the fields of shape `T`, sorted.
pub fn field_names<T: Record>() -> Vec<&'static str> {
    let mut names: Vec<_> = T::table_of().fields.iter().map(|field| field.name).collect();
    names.sort_unstable();
    names
}

fn walk(schema: &Value, value: &Value, path: &mut Vec<PathSegment>, found: &mut Vec<FieldPath>) {
    match value {
        Value::Object(fields) => {
            if schema["x-kubernetes-preserve-unknown-fields"] == true {
                return;
            }
            for (key, value) in fields {
                path.push(PathSegment::Key(key.clone()));
                match schema["properties"].get(key).or_else(|| schema.get("additionalProperties")) {
                    Some(inner) => walk(inner, value, path, found),
                    // A scalar's schema: the wrong type is another message's matter.
                    None if schema["type"] != "object" => {}
                    None => found.push(FieldPath(path.clone())),
                }
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(PathSegment::Index(index));
                walk(&schema["items"], item, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_are_named_where_they_stand() {
        let object = json!({ "spec": {
            "hosts": ["a"],
            "http": [{ "timout": "1s", "route": [{ "destination": { "host": "a", "subste": "v1" } }],
                       "match": [{ "headers": { "x-any": { "exact": "b", "exakt": "c" } } }] }],
        } });
        let found: Vec<String> =
            unknown_fields("VirtualService", &object).iter().map(ToString::to_string).collect();
        let wanted = [
            "spec.http[0].match[0].headers.x-any.exakt",
            "spec.http[0].route[0].destination.subste",
            "spec.http[0].timout",
        ];
        assert_eq!(found, wanted);
        assert!(unknown_fields("Deployment", &object).is_empty());
    }

    #[test]
    fn free_form_values_are_left_alone() {
        let object =
            json!({ "spec": { "configPatches": [{ "patch": { "value": { "any": { "thing": 1 } } } }] } });
        assert!(unknown_fields("EnvoyFilter", &object).is_empty());
    }
}
