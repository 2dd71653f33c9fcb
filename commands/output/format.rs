//! Formats that a report can be rendered in.

use serde::Serialize;
use serde_json::Value;

use crate::exit::Failure;

/// Value of `-o` where a report has columns and a full form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum View {
    /// Columns.
    #[value(alias = "table")]
    Short,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// JSON with four spaces, as istioctl indents.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    value.serialize(&mut serializer)?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}

/// YAML without a document marker.
pub(crate) fn to_yaml(value: &impl Serialize) -> Result<String, Failure> {
    // Through a JSON value, so that both formats show the same fields in the same spelling.
    let value: Value = serde_json::to_value(value)?;
    Ok(sagene_api::yaml::to_text(&value)?)
}
