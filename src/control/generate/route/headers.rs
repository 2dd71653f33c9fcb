//! Changes of headers.

use sagene_api::istio::networking::virtual_service::{HeaderOperations, Headers};

use super::super::proto::core;
use core::header_value_option::HeaderAppendAction;

/// Changes of request and response headers as Envoy takes them, on routes and weighted clusters alike.
#[derive(Debug, Default)]
pub(super) struct HeaderChanges {
    pub(super) request_add: Vec<core::HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<core::HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
    /// The `Host` that is set; Envoy wants it as rewrite.
    pub(super) authority: Option<String>,
}

impl HeaderChanges {
    pub(super) fn of(headers: Option<&Headers>) -> Self {
        let Some(headers) = headers else { return Self::default() };
        let request = headers.request.clone().unwrap_or_default();
        let response = headers.response.clone().unwrap_or_default();
        let authority = request
            .set
            .iter()
            .chain(&request.add)
            .find(|(name, _)| is_authority(name))
            .map(|(_, value)| value.clone());
        Self {
            request_add: changes(&request),
            request_remove: request.remove.iter().filter(|name| !is_authority(name)).cloned().collect(),
            response_add: changes(&response),
            response_remove: response.remove.clone(),
            authority,
        }
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

fn changes(operations: &HeaderOperations) -> Vec<core::HeaderValueOption> {
    let option = |(name, value): (&String, &String), action: HeaderAppendAction| core::HeaderValueOption {
        header: Some(core::HeaderValue { key: name.clone(), value: value.clone(), ..Default::default() }),
        append_action: action as i32,
        ..core::HeaderValueOption::default()
    };
    let set = operations.set.iter().filter(|(name, _)| !is_authority(name));
    let add = operations.add.iter().filter(|(name, _)| !is_authority(name));
    set.map(|pair| option(pair, HeaderAppendAction::OverwriteIfExistsOrAdd))
        .chain(add.map(|pair| option(pair, HeaderAppendAction::AppendIfExistsOrAdd)))
        .collect()
}
