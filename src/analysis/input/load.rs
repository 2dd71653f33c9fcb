//! Text in, objects out. Every kind counts, also those that no check reads.

use std::sync::Arc;

use sagene_api::{Object, ParseError, Resource};
use sagene_model::snapshot::Collected;
use serde_json::Value;

use super::Input;
use super::document::{Document, SourceFile, split};
use crate::code::Code;
use crate::message::{Message, ObjectRef};
use crate::path::FieldPath;

/// A document that is no object.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct LoadError {
    /// File as the user named it.
    pub file: String,
    /// Line from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// Reads all documents of a file into `input`. Objects without a namespace get `namespace`. Documents that cannot be read are
/// returned; the others count.
pub fn load(input: &mut Input, name: &str, text: String, namespace: &str) -> Vec<LoadError> {
    let file = Arc::new(SourceFile { name: name.to_owned(), text });
    let mut errors = Vec::new();
    for document in split(&file) {
        match parse(&document) {
            Ok(Value::Null) => {}
            Ok(value) => {
                if let Err(problem) = take(input, document.clone(), value, namespace) {
                    errors.push(LoadError { file: name.to_owned(), line: document.first_line(), problem });
                }
            }
            Err(error) => errors.push(error),
        }
    }
    errors
}

fn parse(document: &Document) -> Result<Value, LoadError> {
    serde_yaml::from_str(document.text()).map_err(|error: serde_yaml::Error| {
        let line = error.location().map_or(0, |place| place.line().saturating_sub(1));
        LoadError {
            file: document.file.name.clone(),
            line: document.first_line() + line,
            problem: error.to_string(),
        }
    })
}

fn take(input: &mut Input, document: Document, value: Value, namespace: &str) -> Result<(), String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
    if kind.is_empty() || api_version.is_empty() {
        return Err("apiVersion and kind must be set".to_owned());
    }
    if kind == "List" && api_version == "v1" {
        let items = value.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        for (index, item) in items.into_iter().enumerate() {
            let mut inner = document.clone();
            inner.prefix = FieldPath::parse("items").index(index);
            take(input, inner, item, namespace)?;
        }
        return Ok(());
    }
    *input.counts.entry(kind.clone()).or_default() += 1;
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    insert_kind(input, document, value, namespace, group, &kind);
    Ok(())
}

macro_rules! insert_by_kind {
    ($($type:path),+ $(,)?) => {
        fn insert_kind(input: &mut Input, document: Document, value: Value, namespace: &str, group: &str, kind: &str) {
            $(if kind == <$type as Resource>::KIND && group == <$type as Resource>::GROUP {
                return insert::<$type>(input, document, value, namespace);
            })+
        }
    };
}

insert_by_kind!(
    sagene_api::kubernetes::Service,
    sagene_api::kubernetes::EndpointSlice,
    sagene_api::kubernetes::Pod,
    sagene_api::kubernetes::Namespace,
    sagene_api::kubernetes::Node,
    sagene_api::kubernetes::Secret,
    sagene_api::kubernetes::ConfigMap,
    sagene_api::kubernetes::ServiceAccount,
    sagene_api::kubernetes::Deployment,
    sagene_api::kubernetes::Ingress,
    sagene_api::kubernetes::MutatingWebhookConfiguration,
    sagene_api::istio::networking::VirtualService,
    sagene_api::istio::networking::DestinationRule,
    sagene_api::istio::networking::Gateway,
    sagene_api::istio::networking::ServiceEntry,
    sagene_api::istio::networking::WorkloadEntry,
    sagene_api::istio::networking::WorkloadGroup,
    sagene_api::istio::networking::Sidecar,
    sagene_api::istio::networking::EnvoyFilter,
    sagene_api::istio::networking::ProxyConfig,
    sagene_api::istio::security::PeerAuthentication,
    sagene_api::istio::security::RequestAuthentication,
    sagene_api::istio::security::AuthorizationPolicy,
);

fn insert<S: Collected>(input: &mut Input, document: Document, value: Value, namespace: &str) {
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let own = value.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let place = match (S::NAMESPACED, own) {
        (false, _) => String::new(),
        (true, "") => namespace.to_owned(),
        (true, own) => own.to_owned(),
    };
    let reference = ObjectRef::new(S::KIND, &place, &name);
    input.sources.insert(reference.clone(), document);
    match Object::<S>::from_value(value) {
        Ok(mut object) => {
            object.metadata.namespace = place;
            input.snapshot.insert(Arc::new(object));
        }
        Err(error) => input.problems.push(shape_problem(reference, &error)),
    }
}

fn shape_problem(reference: ObjectRef, error: &ParseError) -> Message {
    let path = match error {
        ParseError::Field { path, .. } => FieldPath::parse(path),
        ParseError::Kind { .. } => FieldPath::default(),
    };
    Message::new(Code::SchemaValidationError, reference, format!("Schema validation error: {error}")).at(path)
}
