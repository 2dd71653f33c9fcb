//! From values to typed objects. Every kind counts, also those that no check reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use sagene_api::{Object, ObjectMeta, ParseError, Resource};
use sagene_model::snapshot::Collected;
use serde_json::Value;

use super::Input;
use super::document::Document;
use crate::checks::schema;
use crate::code::Code;
use crate::message::{Message, ObjectRef};
use crate::path::FieldPath;

macro_rules! kinds {
    ($($type:path),+ $(,)?) => {
        /// Takes an object of any kind in. Without a `document` it is of a cluster.
        pub(super) fn insert(input: &mut Input, document: Option<Document>, value: Value, namespace: &str) {
            let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
            let kind = text("kind");
            let group = text("apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
            match input.counts.get_mut(kind) {
                Some(count) => *count += 1,
                None => {
                    input.counts.insert(kind.to_owned(), 1);
                }
            }
            $(if kind == <$type as Resource>::KIND && group == <$type as Resource>::GROUP {
                return typed::<$type>(input, document, value, namespace);
            })+
            untyped(input, document, value);
        }

        impl Input {
            /// Objects with an annotation, and its value.
            pub(crate) fn annotated(&self, key: &str) -> BTreeMap<ObjectRef, String> {
                let mut found = BTreeMap::new();
                $(for object in <$type as Collected>::collection(&self.snapshot).iter() {
                    if let Some(value) = object.metadata.annotations.get(key) {
                        found.insert(super::reference(object), value.clone());
                    }
                })+
                found
            }

            /// Takes out the objects of Istio's kinds that belong to another revision than this.
            pub fn retain_revision(&mut self, revision: &str) {
                $(if <$type as Resource>::GROUP.ends_with("istio.io") {
                    let others: Vec<(String, String)> = <$type as Collected>::collection(&self.snapshot)
                        .iter()
                        .filter(|object| is_of_other_revision(&object.metadata, revision))
                        .map(|object| (object.metadata.namespace.clone(), object.metadata.name.clone()))
                        .collect();
                    for (namespace, name) in others {
                        self.snapshot.remove::<$type>(&namespace, &name);
                    }
                })+
            }
        }

        /// Takes in all of `part`, over what is there.
        pub(super) fn merge(input: &mut Input, part: Input) {
            $(for object in <$type as Collected>::collection(&part.snapshot).iter() {
                input.snapshot.insert(object.clone());
            })+
            input.sources.extend(part.sources);
            input.untyped.extend(part.untyped);
            input.problems.extend(part.problems);
            for (kind, count) in part.counts {
                *input.counts.entry(kind).or_default() += count;
            }
        }
    };
}

kinds!(
    sagene_api::istio::networking::VirtualService,
    sagene_api::istio::networking::DestinationRule,
    sagene_api::kubernetes::Service,
    sagene_api::kubernetes::Pod,
    sagene_api::kubernetes::Deployment,
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
    sagene_api::istio::telemetry::Telemetry,
    sagene_api::istio::extensions::WasmPlugin,
    sagene_api::kubernetes::EndpointSlice,
    sagene_api::kubernetes::Namespace,
    sagene_api::kubernetes::Node,
    sagene_api::kubernetes::Secret,
    sagene_api::kubernetes::ConfigMap,
    sagene_api::kubernetes::ServiceAccount,
    sagene_api::kubernetes::Ingress,
    sagene_api::kubernetes::IngressClass,
    sagene_api::kubernetes::MutatingWebhookConfiguration,
    sagene_api::gateway_api::GatewayClass,
    sagene_api::gateway_api::KubernetesGateway,
    sagene_api::gateway_api::HttpRoute,
    sagene_api::gateway_api::GrpcRoute,
    sagene_api::gateway_api::TlsRoute,
    sagene_api::gateway_api::TcpRoute,
    sagene_api::gateway_api::ReferenceGrant,
);

impl Input {
    /// Takes in an object of a cluster: no file holds it. Its `apiVersion` and `kind` must be set.
    pub fn insert_live(&mut self, value: Value) {
        insert(self, None, value, "");
    }
}

/// Label that says which control plane an object is for.
const REVISION_LABEL: &str = "istio.io/rev";

fn is_of_other_revision(metadata: &ObjectMeta, revision: &str) -> bool {
    metadata.labels.get(REVISION_LABEL).is_some_and(|of| !of.is_empty() && of != revision)
}

fn typed<S: Collected>(input: &mut Input, document: Option<Document>, value: Value, namespace: &str) {
    let metadata = |key: &str| {
        let text = value.get("metadata").and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
        text.unwrap_or_default()
    };
    let name = if metadata("name").is_empty() { metadata("generateName") } else { metadata("name") };
    let place = match (S::NAMESPACED, metadata("namespace")) {
        (false, _) => String::new(),
        (true, "") => namespace.to_owned(),
        (true, own) => own.to_owned(),
    };
    let reference = ObjectRef::new(S::KIND, &place, name);
    let nameless = name.is_empty();
    if let Some(document) = document {
        input.sources.insert(reference.clone(), document);
    }
    let shape = crate::validation::shape::problems(&value);
    let told = !shape.is_empty();
    input.problems.extend(shape.into_iter().map(|problem| schema::message(reference.clone(), problem)));
    match Object::<S>::from_value(value) {
        Ok(mut object) => {
            object.metadata.namespace = place;
            if nameless {
                let text = "Schema validation error: metadata.name must be set".to_owned();
                let problem = Message::new(Code::SchemaValidationError, reference, text);
                input.problems.push(problem.at(FieldPath::parse("metadata")));
            } else {
                object.metadata.name.clone_from(&reference.name);
            }
            input.snapshot.insert(Arc::new(object));
        }
        Err(_) if told => {}
        Err(error) => input.problems.push(shape_problem(reference, &error)),
    }
}

fn untyped(input: &mut Input, document: Option<Document>, value: Value) {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let reference = ObjectRef::new(text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
    if let Some(document) = document {
        input.sources.insert(reference.clone(), document);
    }
    input.untyped.insert(reference, Arc::new(value));
}

fn shape_problem(reference: ObjectRef, error: &ParseError) -> Message {
    let path = match error {
        ParseError::Field { path, .. } => FieldPath::parse(path),
        ParseError::Kind { .. } => FieldPath::default(),
    };
    Message::new(Code::SchemaValidationError, reference, format!("Schema validation error: {error}")).at(path)
}
