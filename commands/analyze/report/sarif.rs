//! SARIF 2.1.0: what code scanning reads.

use std::collections::BTreeSet;

use sagene_analysis::input::Location;
use sagene_analysis::{Code, Level, Message, explain};
use serde_json::{Value, json};

/// The log of one run.
pub(super) fn log(messages: &[&Message], places: &[Option<Location>]) -> Value {
    let codes: BTreeSet<Code> = messages.iter().map(|message| message.code).collect();
    let codes: Vec<Code> = codes.into_iter().collect();
    let rules: Vec<Value> = codes.iter().map(|code| rule(*code)).collect();
    let results: Vec<Value> =
        messages.iter().zip(places).map(|(message, place)| result(message, place.as_ref(), &codes)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "sagene", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.id(),
        "name": code.name(),
        "shortDescription": {"text": code.name()},
        "fullDescription": {"text": explain::hint(code)},
        "help": {"text": explain::page(code), "markdown": explain::page(code)},
        "defaultConfiguration": {"level": level(code.level())},
    })
}

fn result(message: &Message, place: Option<&Location>, codes: &[Code]) -> Value {
    let object = &message.object;
    let name = match message.cluster.as_deref() {
        Some(cluster) => format!("{cluster}/{}", object.origin()),
        None => object.origin(),
    };
    let mut location = json!({"logicalLocations": [{
        "name": object.name,
        "fullyQualifiedName": name,
        "kind": "object",
    }]});
    if let Some(place) = place {
        let mut region = json!({"startLine": place.line, "startColumn": place.column});
        if place.width > 0 {
            region["endLine"] = place.line.into();
            region["endColumn"] = (place.column + place.width).into();
        }
        location["physicalLocation"] =
            json!({"artifactLocation": {"uri": uri(&place.file)}, "region": region});
    }
    json!({
        "ruleId": message.code.id(),
        "ruleIndex": codes.binary_search(&message.code).unwrap_or_default(),
        "level": level(message.level()),
        "message": {"text": message.text},
        "locations": [location],
        "partialFingerprints": {"finding/v1": format!("{} {name} {}", message.code.id(), message.path)},
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

/// A path as the reference of a URI.
fn uri(path: &str) -> String {
    let mut text = String::new();
    for byte in path.trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
