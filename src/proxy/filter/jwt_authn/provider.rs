//! A provider: an issuer, its keys, where its tokens stand and what becomes of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::extract::{Found, Location, locations};
use super::keys::KeySet;
use super::status::Status;
use super::token::{CLOCK_SKEW, Token};
use crate::config::proto::{self, http::jwt_authn::v3 as proto_jwt};
use crate::config::{FieldError, TextMatch, Within};
use crate::http::headers::HeaderList;

/// A compiled `JwtProvider`.
#[derive(Debug)]
pub(super) struct Provider {
    /// Empty where any issuer is accepted.
    pub(super) issuer: String,
    audiences: Vec<String>,
    subjects: Option<TextMatch>,
    require_expiration: bool,
    max_lifetime: Option<u64>,
    skew: u64,
    keys: KeySet,
    pub(super) locations: Vec<Location>,
    forward: bool,
    payload_header: Option<Box<[u8]>>,
    pad_payload_header: bool,
    claim_headers: Vec<(Box<[u8]>, Vec<String>)>,
    payload_in_metadata: String,
    header_in_metadata: String,
    space_delimited: Vec<String>,
    clear_route_cache: bool,
}

/// What an accepted token does to its request.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) remove: Vec<Location>,
    pub(super) add_headers: Vec<(Box<[u8]>, Vec<u8>)>,
    pub(super) metadata: Vec<(String, Value)>,
    pub(super) clear_route_cache: bool,
}

impl Provider {
    pub(super) fn compile(from: &proto_jwt::JwtProvider) -> Result<Self, FieldError> {
        use proto_jwt::jwt_provider::JwksSourceSpecifier::{LocalJwks, RemoteJwks};
        let keys = match &from.jwks_source_specifier {
            Some(LocalJwks(source)) => {
                KeySet::parse(&proto::data(source).within("local_jwks")?).within("local_jwks")?
            }
            Some(RemoteJwks(_)) => {
                let reason =
                    "keys are not fetched by the proxy; give them in local_jwks, as the control plane does";
                return Err(FieldError::new("remote_jwks", reason));
            }
            None => return Err(FieldError::new("local_jwks", "is missing")),
        };
        let lower = |name: &str| -> Box<[u8]> { name.to_ascii_lowercase().into_bytes().into() };
        let claim_headers = from.claim_to_headers.iter().map(|each| {
            let path = if each.claim_path.is_empty() {
                each.claim_name.split('.').map(str::to_owned).collect()
            } else {
                each.claim_path.iter().map(|part| part.key.clone()).collect()
            };
            (lower(&each.header_name), path)
        });
        let normalize = from.normalize_payload_in_metadata.clone().unwrap_or_default();
        Ok(Self {
            issuer: from.issuer.clone(),
            audiences: from.audiences.clone(),
            subjects: from.subjects.as_ref().map(TextMatch::compile).transpose().within("subjects")?,
            require_expiration: from.require_expiration,
            max_lifetime: from.max_lifetime.as_ref().map(|most| proto::duration(most).as_secs()),
            skew: if from.clock_skew_seconds == 0 { CLOCK_SKEW } else { from.clock_skew_seconds.into() },
            keys,
            locations: locations(from),
            forward: from.forward,
            payload_header: (!from.forward_payload_header.is_empty())
                .then(|| lower(&from.forward_payload_header)),
            pad_payload_header: from.pad_forward_payload_header,
            claim_headers: claim_headers.collect(),
            payload_in_metadata: from.payload_in_metadata.clone(),
            header_in_metadata: from.header_in_metadata.clone(),
            space_delimited: normalize.space_delimited_claims,
            clear_route_cache: from.clear_route_cache,
        })
    }

    /// Headers that only the filter may set.
    pub(super) fn own_headers(&self) -> impl Iterator<Item = &[u8]> {
        self.payload_header.iter().chain(self.claim_headers.iter().map(|(name, _)| name)).map(|name| &**name)
    }

    /// The tokens of a request where this provider looks for them.
    pub(super) fn find(&self, headers: &HeaderList, path: &[u8]) -> Vec<Found> {
        self.locations.iter().flat_map(|place| place.find(headers, path)).collect()
    }

    /// Verifies a token; `audiences` take the place of the provider's own.
    pub(super) fn verify(
        &self,
        token: &Token<'_>,
        now: u64,
        audiences: Option<&[String]>,
    ) -> Result<(), Status> {
        if !self.issuer.is_empty() && token.issuer != self.issuer {
            return Err(Status::UnknownIssuer);
        }
        if self.subjects.as_ref().is_some_and(|wanted| !wanted.matches(token.subject.as_bytes())) {
            return Err(Status::SubjectNotAllowed);
        }
        if token.expires == 0 && (self.require_expiration || self.max_lifetime.is_some()) {
            return Err(Status::MissingExpiry);
        }
        if let Some(most) = self.max_lifetime {
            let begin = if token.issued_at != 0 { token.issued_at } else { now };
            if token.expires.saturating_sub(begin) > most {
                return Err(Status::LifetimeExceeded);
            }
        }
        token.check_time(now, self.skew)?;
        let wanted = audiences.unwrap_or(&self.audiences);
        let allowed = |audience: &String| wanted.iter().any(|each| trimmed(each) == trimmed(audience));
        if !wanted.is_empty() && !token.audiences.iter().any(allowed) {
            return Err(Status::AudienceNotAllowed);
        }
        self.keys.verify(token)
    }

    /// What becomes of a request with this token.
    pub(super) fn accept(&self, token: &Token<'_>, found: &Found, effects: &mut Effects) {
        if let Some(name) = &self.payload_header {
            let mut text = token.payload_text.trim_end_matches('=').to_owned();
            while self.pad_payload_header && !text.len().is_multiple_of(4) {
                text.push('=');
            }
            effects.add_headers.push((name.clone(), text.into_bytes()));
        }
        for (name, path) in &self.claim_headers {
            let value = path.iter().try_fold(None, |at: Option<&Value>, key| match at {
                None => token.payload.get(key).map(Some),
                Some(value) => value.get(key).map(Some),
            });
            if let Some(text) = value.flatten().and_then(claim_text) {
                effects.add_headers.push((name.clone(), text.into_bytes()));
            }
        }
        if !self.forward {
            effects.remove.push(found.at.clone());
        }
        if !self.payload_in_metadata.is_empty() {
            effects.metadata.push((self.payload_in_metadata.clone(), Value::Object(self.normalized(token))));
        }
        if !self.header_in_metadata.is_empty() {
            effects.metadata.push((self.header_in_metadata.clone(), Value::Object(token.header.clone())));
        }
        effects.clear_route_cache |= self.clear_route_cache;
    }

    /// The payload, with texts that are lists taken apart.
    fn normalized(&self, token: &Token<'_>) -> Map<String, Value> {
        let mut payload = token.payload.clone();
        for name in &self.space_delimited {
            if let Some(Value::String(text)) = payload.get(name) {
                let parts = text.split(' ').filter(|part| !part.is_empty()).map(Value::from).collect();
                payload.insert(name.clone(), Value::Array(parts));
            }
        }
        payload
    }
}

/// `https://a/` and `https://a` name the same audience, and so does `http://a`.
fn trimmed(audience: &str) -> &str {
    let bare = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://"));
    let text = bare.unwrap_or(audience);
    text.strip_suffix('/').unwrap_or(text)
}

/// A claim as header value; lists and objects go as JSON in base64.
fn claim_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => Some(STANDARD.encode(value.to_string())),
    }
}
