//! Requests by HTTP.

use std::time::Instant;

use super::super::super::curl;
use super::super::fields::canonical;
use super::super::grpc::ForwardEchoRequest;
use super::Lines;
use super::aim::aim;

/// A client that keeps its connections.
pub(super) struct Client {
    client: reqwest::Client,
    url: String,
}

impl Client {
    pub(super) async fn of(request: &ForwardEchoRequest) -> Result<Self, String> {
        let (scheme, rest) = request.url.split_once("://").unwrap_or(("http", &request.url));
        let path = rest.find(['/', '?']).map_or("/", |at| &rest[at..]);
        let (connecting, url) = aim(request, scheme, path).await?;
        Ok(Self { client: curl::client(&connecting, &url)?, url })
    }

    pub(super) async fn send(&self, request: &ForwardEchoRequest, lines: &mut Lines) -> Result<(), String> {
        let method = if request.method.is_empty() { "GET" } else { request.method.as_str() };
        let method = method.parse().map_err(|_| format!("{method:?} is no method"))?;
        let mut builder = self.client.request(method, &self.url);
        lines.put("Url", &request.url);
        for header in &request.headers {
            lines.put("Header", format_args!("{}:{}", header.key, header.value));
            if !header.key.eq_ignore_ascii_case("host") {
                builder = builder.header(&header.key, &header.value);
            }
        }
        if !request.server_name.is_empty() {
            // The URL has the name for TLS.
            builder = builder.header("host", request.header("host").unwrap_or_else(|| request.authority()));
        }
        if request.header("x-request-id").is_none() {
            builder = builder.header("x-request-id", lines.number);
        }
        let started = Instant::now();
        let response = builder.send().await.map_err(|error| sagene_base::task::error_chain(&error))?;
        lines.put("Latency", format_args!("{:?}", started.elapsed()));
        lines.put("StatusCode", response.status().as_u16());
        let mut headers: Vec<_> = response.headers().iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            lines.put("ResponseHeader", format_args!("{}:{value}", canonical(name.as_str())));
        }
        let body = response.bytes().await.map_err(|error| sagene_base::task::error_chain(&error))?;
        lines.body(&String::from_utf8_lossy(&body));
        Ok(())
    }
}
