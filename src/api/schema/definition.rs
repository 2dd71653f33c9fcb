//! What the CustomResourceDefinitions of every group say alike.

use serde_json::{Value, json};

/// The `names` of a kind.
pub(crate) fn names(kind: &str, plural: &str, categories: &[&str], short_names: &[&str]) -> Value {
    let mut names = json!({
        "kind": kind,
        "listKind": format!("{kind}List"),
        "plural": plural,
        "singular": kind.to_lowercase(),
        "categories": categories,
    });
    if !short_names.is_empty() {
        names["shortNames"] = json!(short_names);
    }
    names
}
