//! Asking by HTTP: the request's head goes to the service; 200 lets it pass, everything else but 5xx is the answer.

use std::time::Duration;

use bytes::Bytes;

use super::{Changes, Decision, ExtAuthz, Refusal, matchers, timeout};
use crate::config::proto::{core, http::ext_authz::v3 as ext_authz};
use crate::config::{FieldError, TextMatch, Within, refuse_if};
use crate::http::call::{Answer, Call};
use crate::http::codec::Request;
use crate::http::headers::HeaderList;

/// Longest answer that is read.
const ANSWER: usize = 1 << 20;
/// Header of an answer that names headers to take off the request.
const REMOVE: &[u8] = b"x-envoy-auth-headers-to-remove";

/// A service asked by HTTP.
#[derive(Debug)]
pub(super) struct HttpService {
    cluster: Box<str>,
    timeout: Option<Duration>,
    path_prefix: Box<str>,
    path_override: Box<str>,
    /// Deprecated place of the filter's own list.
    allowed_headers: Vec<TextMatch>,
    added_headers: Vec<(Box<str>, Box<str>)>,
    to_upstream: Vec<TextMatch>,
    to_upstream_appended: Vec<TextMatch>,
    to_client: Vec<TextMatch>,
    to_client_on_success: Vec<TextMatch>,
}

impl HttpService {
    pub(super) fn compile(from: &ext_authz::HttpService) -> Result<Self, FieldError> {
        refuse_if(from.retry_policy.is_some(), "retry_policy", "is not supported")?;
        let uri = from.server_uri.as_ref().ok_or_else(|| FieldError::new("server_uri", "is missing"))?;
        let Some(core::http_uri::HttpUpstreamType::Cluster(cluster)) = &uri.http_upstream_type else {
            return Err(FieldError::new("server_uri.cluster", "is missing"));
        };
        let request = from.authorization_request.clone().unwrap_or_default();
        let response = from.authorization_response.clone().unwrap_or_default();
        refuse_if(
            response.dynamic_metadata_from_headers.is_some(),
            "authorization_response.dynamic_metadata_from_headers",
            "is not supported",
        )?;
        let list = |list: Option<&_>, name: &str| {
            matchers(list).within(format_args!("authorization_response.{name}"))
        };
        #[allow(deprecated, reason = "older control planes write the list here")]
        let allowed = matchers(request.allowed_headers.as_ref());
        let added = request.headers_to_add.iter();
        Ok(Self {
            cluster: cluster.as_str().into(),
            timeout: timeout(uri.timeout.as_ref()),
            path_prefix: from.path_prefix.as_str().into(),
            path_override: from.path_override.as_str().into(),
            allowed_headers: allowed.within("authorization_request.allowed_headers")?,
            added_headers: added
                .map(|header| (header.key.to_ascii_lowercase().into(), header.value.as_str().into()))
                .collect(),
            to_upstream: list(response.allowed_upstream_headers.as_ref(), "allowed_upstream_headers")?,
            to_upstream_appended: list(
                response.allowed_upstream_headers_to_append.as_ref(),
                "allowed_upstream_headers_to_append",
            )?,
            to_client: list(response.allowed_client_headers.as_ref(), "allowed_client_headers")?,
            to_client_on_success: list(
                response.allowed_client_headers_on_success.as_ref(),
                "allowed_client_headers_on_success",
            )?,
        })
    }

    /// The question about a request.
    pub(super) fn question(&self, filter: &ExtAuthz, about: &Request, body: Bytes) -> Call<'_> {
        let mut headers = HeaderList::default();
        for (name, value) in about.headers.iter() {
            let listed = self.allowed_headers.iter().any(|rule| rule.matches(name));
            let wanted = match filter.sends(name) {
                Some(false) => name == b"authorization" && filter.disallowed_headers.is_empty(),
                Some(true) => true,
                None => listed || name == b"authorization",
            };
            if wanted && !matches!(name, b"content-length" | b"transfer-encoding") {
                headers.append(name, value);
            }
        }
        headers.set(b"content-length", body.len().to_string().as_bytes());
        for (name, value) in &self.added_headers {
            headers.set(name.as_bytes(), value.as_bytes());
        }
        let path = match (&*self.path_override, &*self.path_prefix) {
            ("", prefix) => [prefix.as_bytes(), &about.path].concat(),
            (path, _) => path.as_bytes().to_vec(),
        };
        let request = Request {
            method: about.method.clone(),
            path,
            authority: about.authority.clone(),
            scheme: about.scheme,
            headers,
            version: 1,
            keep_alive: true,
            ..Request::default()
        };
        Call { cluster: &self.cluster, request, body, timeout: self.timeout, longest: ANSWER }
    }

    /// What an answer means.
    pub(super) fn decision(&self, answer: &Answer) -> Decision {
        let pairs = |wanted: &dyn Fn(&[u8]) -> bool| -> Vec<(Vec<u8>, Vec<u8>)> {
            let found = answer.headers.iter().filter(|(name, _)| wanted(name) && !is_framing(name));
            found.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
        };
        let listed = |list: &[TextMatch], name: &[u8]| list.iter().any(|rule| rule.matches(name));
        match answer.status {
            200 => Decision::Allowed(Box::new(Changes {
                set: pairs(&|name| listed(&self.to_upstream, name)),
                append: pairs(&|name| listed(&self.to_upstream_appended, name)),
                remove: removed(&answer.headers),
                response: pairs(&|name| listed(&self.to_client_on_success, name)),
                ..Changes::default()
            })),
            500.. | 0 => Decision::Failed,
            status => Decision::Denied(Box::new(Refusal {
                status,
                headers: pairs(&|name| {
                    let always = matches!(name, b"www-authenticate" | b"location");
                    self.to_client.is_empty() || always || listed(&self.to_client, name)
                }),
                body: answer.body.to_vec(),
                metadata: None,
            })),
        }
    }
}

/// Headers that belong to the answer as a message, not to what it says.
fn is_framing(name: &[u8]) -> bool {
    matches!(name, b"content-length" | b"transfer-encoding" | b"connection" | b"keep-alive" | b"host")
}

fn removed(headers: &HeaderList) -> Vec<Vec<u8>> {
    let names = headers.get_all(REMOVE).flat_map(crate::http::headers::tokens);
    names.map(<[u8]>::to_ascii_lowercase).filter(|name| !name.starts_with(b":") && name != b"host").collect()
}
