//! A service that filters ask by unary gRPC (`GrpcService` with `envoy_grpc`).

use std::time::Duration;

use prost::Message;

use crate::config::proto::core;
use crate::config::{FieldError, refuse_if};
use crate::http::call::{Answer, Call, grpc_frame, post};

/// Longest answer that is read.
const ANSWER: usize = 1 << 20;

/// A compiled `GrpcService`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct GrpcService {
    cluster: Box<str>,
    authority: Box<str>,
    timeout: Option<Duration>,
    metadata: Vec<(Box<str>, Box<str>)>,
}

impl GrpcService {
    /// `timeout`: time for an answer; `None` = any.
    pub(crate) fn compile(from: &core::GrpcService, timeout: Option<Duration>) -> Result<Self, FieldError> {
        let Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(target)) = &from.target_specifier else {
            return Err(FieldError::new("envoy_grpc", "is missing; google_grpc is not supported"));
        };
        refuse_if(target.cluster_name.is_empty(), "envoy_grpc.cluster_name", "is missing")?;
        refuse_if(target.retry_policy.is_some(), "envoy_grpc.retry_policy", "is not supported")?;
        let authority = if target.authority.is_empty() { &target.cluster_name } else { &target.authority };
        let metadata = from.initial_metadata.iter();
        Ok(Self {
            cluster: target.cluster_name.as_str().into(),
            authority: authority.as_str().into(),
            timeout,
            metadata: metadata
                .map(|header| (header.key.to_ascii_lowercase().into(), header.value.as_str().into()))
                .collect(),
        })
    }

    /// A question; `path` is `/package.Service/Method`.
    pub(crate) fn question(&self, path: &str, message: &impl Message) -> Call<'_> {
        let mut request = post(path, &self.authority, "application/grpc");
        request.version = 2;
        request.headers.set(b"te", b"trailers");
        for (name, value) in &self.metadata {
            request.headers.set(name.as_bytes(), value.as_bytes());
        }
        let body = grpc_frame(&message.encode_to_vec());
        Call { cluster: &self.cluster, request, body, timeout: self.timeout, longest: ANSWER }
    }
}

/// The message of an answer; `None` where the service failed.
pub(crate) fn answered<M: Message + Default>(answer: &Answer) -> Option<M> {
    match (answer.status, answer.grpc_status(), answer.grpc_message().map(M::decode)) {
        (200, Some(0), Some(Ok(message))) => Some(message),
        _ => None,
    }
}

/// Name and value of a header, as such services send them.
pub(crate) fn header_pair(header: core::HeaderValue) -> (Vec<u8>, Vec<u8>) {
    let value = if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value };
    (header.key.to_ascii_lowercase().into_bytes(), value)
}

/// A `Struct` as JSON.
pub(crate) fn struct_json(from: envoy_types::pb::google::protobuf::Struct) -> serde_json::Value {
    use envoy_types::pb::google::protobuf::{Value, value::Kind};
    fn json(value: Value) -> serde_json::Value {
        match value.kind {
            None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
            Some(Kind::NumberValue(number)) => number.into(),
            Some(Kind::StringValue(text)) => text.into(),
            Some(Kind::BoolValue(flag)) => flag.into(),
            Some(Kind::StructValue(fields)) => struct_json(fields),
            Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
        }
    }
    from.fields.into_iter().map(|(name, value)| (name, json(value))).collect()
}
