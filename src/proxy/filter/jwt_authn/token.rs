//! A JSON Web Token taken apart (RFC 7519, compact form), checked as strictly as Envoy does.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::status::Status;

/// Signature algorithms that are verified.
const ALGORITHMS: [&str; 13] = [
    "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384",
    "PS512", "EdDSA",
];

/// Times are compared with this much tolerance, in seconds, where nothing else is said.
pub(super) const CLOCK_SKEW: u64 = 60;

/// A token that is well formed; nothing is verified yet.
#[derive(Debug)]
pub(super) struct Token<'t> {
    pub(super) algorithm: String,
    pub(super) key_id: Option<String>,
    pub(super) header: Map<String, Value>,
    pub(super) payload: Map<String, Value>,
    /// The payload as it stands in the token.
    pub(super) payload_text: &'t str,
    /// What the signature is about.
    pub(super) signed: &'t str,
    pub(super) signature: Vec<u8>,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audiences: Vec<String>,
    pub(super) issued_at: u64,
    pub(super) not_before: u64,
    /// Zero where the token does not expire.
    pub(super) expires: u64,
}

impl<'t> Token<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, Status> {
        let mut parts = text.split('.');
        let (Some(header_text), Some(payload_text), Some(signature_text), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Status::BadFormat);
        };
        let header = object(header_text, Status::HeaderBase64, Status::HeaderJson)?;
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(Status::HeaderAlg)?.to_owned();
        if !ALGORITHMS.contains(&algorithm.as_str()) {
            return Err(Status::HeaderAlgUnknown);
        }
        let key_id = text_of(&header, "kid", Status::HeaderKid)?;
        let payload = object(payload_text, Status::PayloadBase64, Status::PayloadJson)?;
        let signature = decode(signature_text).ok_or(Status::SignatureBase64)?;
        Ok(Self {
            algorithm,
            key_id: key_id.filter(|id| !id.is_empty()),
            header,
            payload_text,
            signed: &text[..header_text.len() + 1 + payload_text.len()],
            signature,
            issuer: text_of(&payload, "iss", Status::IssuerNotText)?.unwrap_or_default(),
            subject: text_of(&payload, "sub", Status::SubjectNotText)?.unwrap_or_default(),
            audiences: audiences(&payload)?,
            issued_at: time(&payload, "iat", Status::IssuedAtNotInteger, Status::IssuedAtOutOfRange)?,
            not_before: time(&payload, "nbf", Status::NotBeforeNotInteger, Status::NotBeforeOutOfRange)?,
            expires: time(&payload, "exp", Status::ExpiryNotInteger, Status::ExpiryOutOfRange)?,
            payload: {
                text_of(&payload, "jti", Status::IdNotText)?;
                payload
            },
        })
    }

    /// Whether the token is valid at `now` (seconds since 1970).
    pub(super) fn check_time(&self, now: u64, skew: u64) -> Result<(), Status> {
        if now.saturating_add(skew) < self.not_before {
            return Err(Status::NotYetValid);
        }
        if self.expires != 0 && now > self.expires.saturating_add(skew) {
            return Err(Status::Expired);
        }
        Ok(())
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

fn object(text: &str, bad_base64: Status, bad_json: Status) -> Result<Map<String, Value>, Status> {
    let bytes = decode(text).ok_or(bad_base64)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(bad_json),
    }
}

fn text_of(fields: &Map<String, Value>, key: &str, wrong: Status) -> Result<Option<String>, Status> {
    match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong),
    }
}

fn audiences(payload: &Map<String, Value>) -> Result<Vec<String>, Status> {
    match payload.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(list)) => {
            list.iter().map(|each| each.as_str().map(str::to_owned).ok_or(Status::AudienceNotText)).collect()
        }
        Some(_) => Err(Status::AudienceNotText),
    }
}

/// Seconds since 1970; fractions are dropped.
fn time(
    payload: &Map<String, Value>,
    key: &str,
    not_integer: Status,
    out_of_range: Status,
) -> Result<u64, Status> {
    let Some(value) = payload.get(key) else { return Ok(0) };
    if let Some(number) = value.as_u64() {
        return Ok(number);
    }
    let number = value.as_f64().ok_or(not_integer)?;
    // Saturates; the range was checked.
    if (0.0..9.0e18).contains(&number) { Ok(number as u64) } else { Err(out_of_range) }
}
