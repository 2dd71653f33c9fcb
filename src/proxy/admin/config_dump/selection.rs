//! What a question to `/config_dump` asks for, and how one resource of the answer looks.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::admin::json::{shown, timestamp};
use crate::agent::http_server::Request;
use crate::config::RawResource;

/// Why the question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(in crate::admin) enum DumpError {
    /// `name_regex` is none.
    #[error("invalid name_regex: {0}")]
    Regex(String),
    /// `resource` names no list.
    #[error("{0} not found in config dump")]
    UnknownResource(String),
}

/// What to show.
pub(super) struct Selection<'a> {
    mask: Vec<&'a str>,
    pub(super) resource: Option<&'a str>,
    name: Option<Regex>,
    pub(super) include_eds: bool,
}

impl<'a> Selection<'a> {
    pub(super) fn parse(request: &'a Request) -> Result<Self, DumpError> {
        let split = |text: &'a str| text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        Ok(Self {
            mask: request.parameter("mask").map(split).unwrap_or_default(),
            resource: request.parameter("resource").filter(|resource| !resource.is_empty()),
            name: request
                .parameter("name_regex")
                .map(|text| {
                    Regex::new(&format!("^(?:{text})$")).map_err(|error| DumpError::Regex(error.to_string()))
                })
                .transpose()?,
            include_eds: request
                .query
                .iter()
                .any(|(key, value)| key == "include_eds" && value != "off" && value != "false"),
        })
    }

    /// Whether a list of a section is wanted at all; what is not is never converted.
    pub(super) fn wants(&self, list: &str) -> bool {
        match self.resource {
            Some(resource) => resource == list,
            None => self.mask.is_empty() || self.mask.iter().any(|path| first(path) == list),
        }
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|regex| regex.is_match(name))
    }

    /// Keeps what the mask names below `list`.
    pub(super) fn trim(&self, list: &str, element: &mut Value) {
        let paths: Vec<&str> = match self.resource {
            Some(_) => self.mask.clone(),
            None => {
                self.mask.iter().filter(|path| first(path) == list).filter_map(|path| rest(path)).collect()
            }
        };
        let whole = self.resource.is_none() && self.mask.contains(&list);
        if !paths.is_empty() && !whole {
            keep(element, &paths);
        }
    }
}

fn first(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

fn rest(path: &str) -> Option<&str> {
    path.split_once('.').map(|(_, rest)| rest)
}

/// Removes every field that no path leads to; `@type` stays.
fn keep(value: &mut Value, paths: &[&str]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| keep(value, paths)),
        Value::Object(map) => {
            map.retain(|name, field| {
                if name == "@type" || paths.contains(&name.as_str()) {
                    return true;
                }
                let below: Vec<&str> =
                    paths.iter().filter(|path| first(path) == name).filter_map(|path| rest(path)).collect();
                if below.is_empty() {
                    return false;
                }
                keep(field, &below);
                true
            });
        }
        _ => {}
    }
}

impl Selection<'_> {
    /// One resource with what is known about it.
    pub(super) fn element(&self, raw: &RawResource, field: &str, name: Option<&str>) -> Value {
        let mut map = Map::new();
        if let Some(name) = name {
            map.insert("name".to_owned(), json!(name));
        }
        if !raw.version.is_empty() {
            map.insert("version_info".to_owned(), json!(raw.version));
        }
        if let Some(any) = &raw.resource {
            map.insert(field.to_owned(), shown(any));
        }
        map.insert("last_updated".to_owned(), timestamp(raw.last_updated));
        self.insert_error(&mut map, raw);
        Value::Object(map)
    }

    pub(super) fn insert_error(&self, map: &mut Map<String, Value>, raw: &RawResource) {
        if let Some(refused) = &raw.error {
            map.insert(
                "error_state".to_owned(),
                json!({
                    "failed_configuration": shown(&refused.resource),
                    "last_update_attempt": timestamp(refused.at),
                    "details": refused.details,
                    "version_info": refused.version,
                }),
            );
        }
    }
}
