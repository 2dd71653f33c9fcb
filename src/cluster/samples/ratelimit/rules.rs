//! The files with limits: a domain each, with descriptors in descriptors. Every mistake names the file and where it is.

use serde::Deserialize;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) domain: String,
    #[serde(default)]
    pub(super) descriptors: Vec<Rule>,
}

/// A key, or a key with a value, with its limit and what is below it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    #[serde(default)]
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
    pub(super) rate_limit: Option<RateLimit>,
    #[serde(default)]
    pub(super) descriptors: Vec<Rule>,
    #[serde(default)]
    pub(super) shadow_mode: bool,
    #[serde(default)]
    pub(super) detailed_metric: bool,
}

/// So many requests in a unit of time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    #[serde(default)]
    pub(super) requests_per_unit: u32,
    #[serde(default)]
    pub(super) unit: String,
    #[serde(default)]
    pub(super) unlimited: bool,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) replaces: Vec<Name>,
}

/// The name of another limit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Name {
    pub(super) name: String,
}

/// Reads one file.
///
/// # Errors
/// The text is no YAML, or has a field that is none; with line and column.
pub(super) fn parse(text: &str) -> Result<File, String> {
    serde_yaml::from_str(text).map_err(|error| format!("error loading config file: {error}"))
}
