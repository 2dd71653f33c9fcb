//! Sets of public keys (RFC 7517), as far as one has to know whether proxies take them: Envoy refuses a set of which it can use no key, and
//! with it all of the listener.

use serde_json::Value;

/// Whether a set has a key of a kind that proxies verify with, with all that belongs to it.
pub fn has_usable_key(set: &Value) -> bool {
    set.get("keys").and_then(Value::as_array).is_some_and(|keys| keys.iter().any(is_usable))
}

fn is_usable(key: &Value) -> bool {
    let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    let has = |name: &str| !text(name).is_empty() && text(name).bytes().all(is_letter);
    match text("kty") {
        "RSA" => has("n") && has("e"),
        "EC" => matches!(text("crv"), "P-256" | "P-384" | "P-521") && has("x") && has("y"),
        "OKP" => text("crv") == "Ed25519" && has("x"),
        "oct" => has("k"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_whole_key_of_a_known_kind_is_enough() {
        for usable in [
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
            json!({"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "a"}),
            json!({"kty": "oct", "k": "a"}),
        ] {
            assert!(has_usable_key(&json!({"keys": [{"kty": "none"}, usable]})), "{usable}");
        }
        for useless in [
            json!({}),
            json!(null),
            json!({"kty": "RSA", "n": "", "e": "AQAB"}),
            json!({"kty": "RSA", "n": "a b", "e": "AQAB"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "a", "y": "b"}),
        ] {
            assert!(!has_usable_key(&json!({"keys": [useless]})), "{useless}");
        }
        assert!(!has_usable_key(&json!({"keys": []})) && !has_usable_key(&json!("keys")));
    }
}
