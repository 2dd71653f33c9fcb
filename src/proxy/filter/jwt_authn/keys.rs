//! The public keys of an issuer (RFC 7517) and the verification of signatures.

use aws_lc_rs::signature::{self, UnparsedPublicKey};
use aws_lc_rs::{hmac, rsa::PublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::status::Status;
use super::token::Token;
use crate::config::FieldError;

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Curve and uncompressed point.
    Elliptic(Curve, Vec<u8>),
    Ed25519(Vec<u8>),
    Secret(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

impl KeySet {
    /// Reads a JWKS. Keys of unknown kinds are left out; a set without any other is refused.
    pub(super) fn parse(text: &[u8]) -> Result<Self, FieldError> {
        let wrong = |reason: &str| FieldError::new("", reason);
        let set: Value = serde_json::from_slice(text).map_err(|_| wrong("Jwks is an invalid JSON"))?;
        let keys = set.get("keys").ok_or_else(|| wrong("Jwks does not have [keys] field"))?;
        let keys = keys.as_array().ok_or_else(|| wrong("[keys] in Jwks is not an array"))?;
        let keys: Vec<Key> = keys.iter().filter_map(Key::parse).collect();
        if keys.is_empty() {
            return Err(wrong("Jwks doesn't have any valid public key"));
        }
        Ok(Self(keys))
    }

    /// Verifies a signature with the keys that its key id and algorithm allow.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), Status> {
        let mut outcome = Err(Status::KeyMismatch);
        for key in &self.0 {
            let other_id = matches!((&token.key_id, &key.id), (Some(wanted), Some(own)) if wanted != own);
            if other_id || key.algorithm.as_ref().is_some_and(|own| *own != token.algorithm) {
                continue;
            }
            if key.material.verifies(token) {
                return Ok(());
            }
            outcome = Err(Status::VerificationFails);
        }
        outcome
    }
}

impl Key {
    fn parse(from: &Value) -> Option<Self> {
        let text = |name: &str| from.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
        let material = match text("kty")? {
            "RSA" => Material::Rsa { n: bytes("n")?, e: bytes("e")? },
            "EC" => {
                let (curve, width) = match text("crv")? {
                    "P-256" => (Curve::P256, 32),
                    "P-384" => (Curve::P384, 48),
                    "P-521" => (Curve::P521, 66),
                    _ => return None,
                };
                let (x, y) = (padded(bytes("x")?, width)?, padded(bytes("y")?, width)?);
                Material::Elliptic(curve, [vec![4], x, y].concat())
            }
            "OKP" if text("crv") == Some("Ed25519") => Material::Ed25519(bytes("x")?),
            "oct" => Material::Secret(bytes("k")?),
            _ => return None,
        };
        let owned = |name: &str| text(name).filter(|text| !text.is_empty()).map(str::to_owned);
        Some(Self { id: owned("kid"), algorithm: owned("alg"), material })
    }
}

/// Coordinates are written without leading zeros by some issuers.
fn padded(bytes: Vec<u8>, width: usize) -> Option<Vec<u8>> {
    let missing = width.checked_sub(bytes.len())?;
    Some([vec![0; missing], bytes].concat())
}

impl Material {
    fn verifies(&self, token: &Token<'_>) -> bool {
        let (message, signed) = (token.signed.as_bytes(), token.signature.as_slice());
        match self {
            Self::Rsa { n, e } => rsa_parameters(&token.algorithm).is_some_and(|parameters| {
                PublicKeyComponents { n, e }.verify(parameters, message, signed).is_ok()
            }),
            Self::Elliptic(curve, point) => {
                let parameters = match (token.algorithm.as_str(), curve) {
                    ("ES256", Curve::P256) => &signature::ECDSA_P256_SHA256_FIXED,
                    ("ES384", Curve::P384) => &signature::ECDSA_P384_SHA384_FIXED,
                    ("ES512", Curve::P521) => &signature::ECDSA_P521_SHA512_FIXED,
                    _ => return false,
                };
                UnparsedPublicKey::new(parameters, point).verify(message, signed).is_ok()
            }
            Self::Ed25519(key) => {
                token.algorithm == "EdDSA"
                    && UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signed).is_ok()
            }
            Self::Secret(secret) => {
                let algorithm = match token.algorithm.as_str() {
                    "HS256" => hmac::HMAC_SHA256,
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => return false,
                };
                hmac::verify(&hmac::Key::new(algorithm, secret), message, signed).is_ok()
            }
        }
    }
}

fn rsa_parameters(algorithm: &str) -> Option<&'static signature::RsaParameters> {
    Some(match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}
