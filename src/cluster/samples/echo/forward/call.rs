//! Calls of `proto.EchoTestService/Echo`.

use std::time::Instant;

use http_body_util::BodyExt;

use super::super::super::curl;
use super::super::super::grpc::{asked, frame};
use super::super::grpc::{ECHO, Echo, ForwardEchoRequest};
use super::Lines;
use super::aim::aim;

/// A client that keeps its connection.
pub(super) struct Client {
    client: reqwest::Client,
    url: String,
}

impl Client {
    pub(super) async fn of(request: &ForwardEchoRequest) -> Result<Self, String> {
        let scheme = if request.url.starts_with("grpcs:") { "https" } else { "http" };
        let (mut connecting, url) = aim(request, scheme, ECHO).await?;
        connecting.http2 = true;
        Ok(Self { client: curl::client(&connecting, &url)?, url })
    }

    pub(super) async fn send(&self, request: &ForwardEchoRequest, lines: &mut Lines) -> Result<(), String> {
        let mut builder =
            self.client.post(&self.url).header("content-type", "application/grpc").header("te", "trailers");
        builder = builder.header("x-request-id", lines.number);
        for header in request.headers.iter().filter(|header| !header.key.eq_ignore_ascii_case("host")) {
            builder = builder.header(&header.key, &header.value);
        }
        lines.text += &format!("[{}] grpcecho.Echo({:?})\n", lines.number, request.message);
        let started = Instant::now();
        let asked_for = frame(&Echo { message: request.message.clone() });
        let response = builder.body(asked_for).send().await;
        let response = response.map_err(|error| sagene_base::task::error_chain(&error))?;
        let (head, body) = http::Response::from(response).into_parts();
        let collected = body.collect().await.map_err(|error| sagene_base::task::error_chain(&error))?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let of = |name: &str| {
            let value = trailers.get(name).or_else(|| head.headers.get(name));
            value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let answer = asked::<Echo>(&collected.to_bytes());
        let Some(answer) = answer.filter(|_| matches!(of("grpc-status").as_str(), "0" | "")) else {
            let status = head.status.as_u16();
            return Err(match of("grpc-status").as_str() {
                "" => format!("rpc error: unexpected HTTP status code received from server: {status}"),
                code => format!("rpc error: code = {} desc = {}", word(code), of("grpc-message")),
            });
        };
        lines.put("Latency", format_args!("{:?}", started.elapsed()));
        lines.body(&answer.message);
        for (name, value) in &head.headers {
            lines.put("ResponseHeader", format_args!("{name}:{}", String::from_utf8_lossy(value.as_bytes())));
        }
        Ok(())
    }
}

/// gRPC's word for a code.
fn word(code: &str) -> &str {
    code.parse().ok().and_then(sagene_base::grpc_status::word).unwrap_or(code)
}
