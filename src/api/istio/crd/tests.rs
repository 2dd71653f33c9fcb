//! Compares our definitions with those Istio ships, where the reference data is at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Reference data beside the repository; `SAGENE_REFERENCE_CRDS` names another place.
fn reference() -> Option<BTreeMap<String, Value>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crds/istio.yaml");
    let path = std::env::var_os("SAGENE_REFERENCE_CRDS").map_or(beside, Into::into);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: no reference CRDs at {}; set SAGENE_REFERENCE_CRDS", path.display());
        return None;
    };
    let documents = serde_yaml::Deserializer::from_str(&text);
    let crds = documents.map(|document| Value::deserialize(document).expect("reference YAML"));
    let named = crds.filter(|crd| !crd.is_null()).map(|crd| (text_of(&crd["metadata"]["name"]), crd));
    Some(named.collect())
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Fields on which we differ on purpose.
fn on_purpose(path: &str) -> bool {
    // The reference's third rule repeats the second's subject instead of what its message says.
    path.ends_with(".tls.x-kubernetes-validations")
        // The control plane writes them; the reference leaves them to the unknown fields of the status.
        || path.starts_with("serviceentries.") && path.ends_with(".status.properties.addresses")
}

fn compare(path: &str, ours: &Value, theirs: &Value, differences: &mut Vec<String>) {
    if on_purpose(path) {
        return;
    }
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => compare_objects(path, ours, theirs, differences),
        (Value::Array(ours), Value::Array(theirs))
            if path.ends_with(".required") || path.ends_with(".enum") =>
        {
            let set = |list: &[Value]| list.iter().map(Value::to_string).collect::<BTreeSet<_>>();
            if set(ours) != set(theirs) {
                differences.push(format!("{path}: {ours:?} instead of {theirs:?}"));
            }
        }
        (ours, theirs) if number(ours).is_some() && number(ours) == number(theirs) => {}
        (ours, theirs) if ours == theirs => {}
        (ours, theirs) => differences.push(format!("{path}: {ours} instead of {theirs}")),
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn compare_objects(
    path: &str,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    differences: &mut Vec<String>,
) {
    // A field of this name is data, not the schema's own word.
    let in_properties = path.ends_with(".properties");
    let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for key in keys.into_iter().filter(|key| in_properties || *key != "description") {
        let (ours, theirs) = (ours.get(key), theirs.get(key));
        let here = format!("{path}.{key}");
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => compare(&here, ours, theirs, differences),
            (None, Some(_)) if on_purpose(&here) => {}
            (None, Some(theirs)) => differences.push(format!("{here}: missing {theirs}")),
            (Some(_), None) if on_purpose(&here) => {}
            (Some(ours), None) => differences.push(format!("{here}: more than the reference: {ours}")),
            (None, None) => {}
        }
    }
}

#[test]
fn definitions_say_what_the_reference_says() {
    let Some(reference) = reference() else { return };
    let mut differences = Vec::new();
    let ours: BTreeMap<String, Value> =
        super::all().into_iter().map(|crd| (text_of(&crd["metadata"]["name"]), crd)).collect();
    assert_eq!(ours.keys().collect::<Vec<_>>(), reference.keys().collect::<Vec<_>>());
    for (name, crd) in &ours {
        let theirs = &reference[name];
        compare(&format!("{name}.names"), &crd["spec"]["names"], &theirs["spec"]["names"], &mut differences);
        let versions = |crd: &Value| {
            let list = crd["spec"]["versions"].as_array().cloned().unwrap_or_default();
            list.into_iter().map(|version| (text_of(&version["name"]), version)).collect::<BTreeMap<_, _>>()
        };
        let (ours, theirs) = (versions(crd), versions(theirs));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{name}");
        for (version, ours) in ours {
            let mut theirs = theirs[&version].clone();
            let mut ours = ours;
            for side in [&mut ours, &mut theirs] {
                for column in side["additionalPrinterColumns"].as_array_mut().into_iter().flatten() {
                    column["description"] = json!("");
                }
                if side["additionalPrinterColumns"].is_null()
                    && let Some(side) = side.as_object_mut()
                {
                    side.remove("additionalPrinterColumns");
                }
            }
            compare(&format!("{name}/{version}"), &ours, &theirs, &mut differences);
        }
    }
    let shown: BTreeSet<String> =
        differences.into_iter().map(|line| line.chars().take(300).collect()).collect();
    assert!(
        shown.is_empty(),
        "{} differences:\n{}",
        shown.len(),
        shown.into_iter().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn every_property_has_a_type_or_is_left_open() {
    fn check(path: &str, schema: &Value) {
        let open = schema["x-kubernetes-preserve-unknown-fields"] == true
            || schema["x-kubernetes-int-or-string"] == true;
        assert!(schema["type"].is_string() || open, "{path}: {schema}");
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            check(&format!("{path}.{name}"), inner);
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(key) {
                check(&format!("{path}.{key}"), inner);
            }
        }
    }
    for crd in super::all() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        check(&text_of(&crd["metadata"]["name"]), schema);
    }
}
