//! All rules of one object as it was written.

use sagene_api::{Object, ParseError, Resource};
use serde_json::Value;

use super::{Problem, Report, Severity, Validate, shape, unreachable};
use crate::code::Code;
use crate::path::FieldPath;

macro_rules! kinds {
    ($($type:path),+ $(,)?) => {
        /// The broken rules of an object of Istio as it was written, in the order of shape, rules, reachability; none for other kinds.
        pub fn problems_of(object: &Value) -> Vec<Problem> {
            let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
            let kind = text("kind");
            let group = text("apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
            $(if kind == <$type as Resource>::KIND && group == <$type as Resource>::GROUP {
                return typed::<$type>(object);
            })+
            shape::problems(object)
        }

        /// Those of the rules alone, of an object whose shape is known to be right.
        pub(crate) fn rules_of(object: &Value) -> Vec<Problem> {
            let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
            $(if kind == <$type as Resource>::KIND {
                let object = Object::<$type>::from_value(object.clone());
                return object.map(|object| <$type as Validate>::problems(&object)).unwrap_or_default();
            })+
            Vec::new()
        }
    };
}

kinds!(
    sagene_api::istio::networking::DestinationRule,
    sagene_api::istio::networking::EnvoyFilter,
    sagene_api::istio::networking::Gateway,
    sagene_api::istio::networking::ProxyConfig,
    sagene_api::istio::networking::ServiceEntry,
    sagene_api::istio::networking::Sidecar,
    sagene_api::istio::networking::VirtualService,
    sagene_api::istio::networking::WorkloadEntry,
    sagene_api::istio::networking::WorkloadGroup,
    sagene_api::istio::security::AuthorizationPolicy,
    sagene_api::istio::security::PeerAuthentication,
    sagene_api::istio::security::RequestAuthentication,
    sagene_api::istio::telemetry::Telemetry,
    sagene_api::istio::extensions::TrafficExtension,
    sagene_api::istio::extensions::WasmPlugin,
);

fn typed<S: Validate>(value: &Value) -> Vec<Problem> {
    let mut problems = shape::problems(value);
    match Object::<S>::from_value(value.clone()) {
        Ok(object) => {
            let mut new = S::problems(&object);
            new.retain(|it| !problems.iter().any(|told| shape::is_told(&it.path, &told.path, &told.message)));
            problems.append(&mut new);
            if S::KIND == "VirtualService" {
                problems.extend(routes(value));
            }
        }
        // The shape tells of the same mistake in better words.
        Err(_) if problems.iter().any(|problem| problem.severity == Severity::Error) => {}
        Err(error) => problems.push(unreadable(&error)),
    }
    problems
}

/// What Istio's webhook says of routes that nothing reaches.
fn routes(value: &Value) -> Vec<Problem> {
    let service = Object::<sagene_api::istio::networking::VirtualService>::from_value(value.clone());
    let mut problems = service.map(|service| unreachable(&service.spec)).unwrap_or_default();
    problems.retain(|problem| problem.code != Code::RouteNeverMatches);
    problems
}

/// An object that is not of its kind's shape, in the reader's words.
fn unreadable(error: &ParseError) -> Problem {
    let mut report = Report::new();
    match error {
        ParseError::Field { path, message } => report.error(&FieldPath::parse(path), message),
        ParseError::Kind { .. } => report.error(&FieldPath::default(), error.to_string()),
    }
    report.finish().remove(0)
}

#[cfg(test)]
mod tests;
