//! Service-account tokens: signed here (`token` subresource), checked here (every request, `TokenReview`).

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

use super::actor::Actor;
use super::error::{ApiError, Cause};
use super::object_meta;
use super::operations::{Operations, Target};

/// Issuer and default audience.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Shortest life, as in Kubernetes.
const SHORTEST_SECONDS: i64 = 600;
/// Longest life: a day.
const LONGEST_SECONDS: i64 = 24 * 3600;
/// Tokens longer than this are not looked at.
const TOKEN_LIMIT: usize = 16 << 10;

/// Signs and checks tokens with the cluster's P-256 key.
pub(crate) struct TokenKeys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    key_id: String,
    x: String,
    y: String,
}

/// What a valid token says.
pub(crate) struct CheckedToken {
    pub(crate) actor: Actor,
    pub(crate) audiences: Vec<String>,
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs() as i64)
}

impl TokenKeys {
    pub(crate) fn new(key: &KeyPair) -> Self {
        // An uncompressed P-256 point: 4, then 32 bytes each of x and y.
        let point = key.der_bytes();
        let (x, y) = point.get(1..).unwrap_or(&[]).split_at(point.len().saturating_sub(1) / 2);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Self {
            encoding: EncodingKey::from_ec_der(key.serialized_der()),
            decoding: DecodingKey::from_ec_der(point),
            key_id: URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, point)),
            x,
            y,
        }
    }

    /// `/openid/v1/jwks`.
    pub(crate) fn jwks(&self) -> Value {
        json!({"keys": [{"use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256", "x": self.x, "y": self.y}]})
    }

    /// `/.well-known/openid-configuration`.
    pub(crate) fn configuration() -> Value {
        json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/openid/v1/jwks"), "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"]})
    }

    fn sign(&self, claims: &Value) -> Result<String, ApiError> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        header.typ = None;
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(ApiError::internal)
    }

    /// The claims of a token with a good signature, issuer and time.
    fn verify(&self, token: &str) -> Option<Value> {
        if token.len() > TOKEN_LIMIT {
            return None;
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.validate_aud = false;
        validation.leeway = 0;
        // Without an end are those of Secrets alone, which end with their Secret.
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Value>(token, &self.decoding, &validation).ok()?.claims;
        let ends = claims["exp"].is_number() || claims["kubernetes.io"]["secret"].is_object();
        (ends && claims["iss"] == ISSUER).then_some(claims)
    }
}

impl Operations {
    /// Answers the `token` subresource of a service account.
    pub(crate) fn token_request(
        &self,
        _actor: &Actor,
        target: &Target,
        mut request: Value,
    ) -> Result<Value, ApiError> {
        let account = self
            .find("", "serviceaccounts", &target.namespace, &target.name)
            .ok_or_else(|| target.not_found())?;
        let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
        if !(SHORTEST_SECONDS..=1 << 32).contains(&seconds) {
            let detail = "may not specify a duration less than 10 minutes";
            let cause = Cause::invalid("spec.expirationSeconds", &json!(seconds), detail);
            return Err(ApiError::invalid(&target.definition.reference, &target.name, vec![cause]));
        }
        let seconds = seconds.min(LONGEST_SECONDS);
        let audiences = match request["spec"]["audiences"].as_array() {
            Some(audiences) if !audiences.is_empty() => json!(audiences),
            _ => json!([ISSUER]),
        };
        let mut bound = json!({
            "namespace": target.namespace,
            "serviceaccount": {"name": target.name, "uid": account["metadata"]["uid"]},
        });
        self.bind(target, &request["spec"]["boundObjectRef"], &mut bound)?;
        let issued = now();
        let claims = json!({
            "iss": ISSUER, "sub": format!("system:serviceaccount:{}:{}", target.namespace, target.name), "aud": audiences,
            "iat": issued, "nbf": issued, "exp": issued + seconds, "jti": object_meta::new_uid(), "kubernetes.io": bound,
        });
        let token = self.tokens.sign(&claims)?;
        request["apiVersion"] = json!("authentication.k8s.io/v1");
        request["kind"] = json!("TokenRequest");
        request["metadata"] = json!({"name": target.name, "namespace": target.namespace, "creationTimestamp": object_meta::now()});
        request["spec"]["audiences"] = audiences;
        request["spec"]["expirationSeconds"] = json!(seconds);
        request["status"] = json!({"token": token, "expirationTimestamp": object_meta::time_in(seconds)});
        Ok(request)
    }

    /// A token without an end, bound to the Secret that will hold it.
    pub(crate) fn secret_token(&self, secret: &Value, account: &str, uid: &str) -> Result<String, ApiError> {
        let (name, namespace) = (&secret["metadata"]["name"], &secret["metadata"]["namespace"]);
        let issued = now();
        self.tokens.sign(&json!({
            "iss": ISSUER, "aud": [ISSUER], "iat": issued, "nbf": issued, "jti": object_meta::new_uid(),
            "sub": format!("system:serviceaccount:{}:{account}", namespace.as_str().unwrap_or_default()),
            "kubernetes.io": {
                "namespace": namespace, "serviceaccount": {"name": account, "uid": uid},
                "secret": {"name": name, "uid": secret["metadata"]["uid"]},
            },
        }))
    }

    /// Binds the token to a pod or secret: it dies with it.
    fn bind(&self, target: &Target, reference: &Value, bound: &mut Value) -> Result<(), ApiError> {
        let plural = match reference["kind"].as_str() {
            None => return Ok(()),
            Some("Pod") => "pods",
            Some("Secret") => "secrets",
            Some(other) => {
                return Err(ApiError::bad_request(format!("cannot bind token to object of type {other:?}")));
            }
        };
        let name = reference["name"].as_str().unwrap_or("");
        let object = self.find("", plural, &target.namespace, name);
        let object =
            object.ok_or_else(|| ApiError::new(404, "NotFound", format!("{plural} {name:?} not found")))?;
        let uid = &object["metadata"]["uid"];
        if reference["uid"].as_str().is_some_and(|wanted| Some(wanted) != uid.as_str()) {
            let why = format!(
                "the UID in the bound object reference ({}) does not match the UID in record",
                reference["uid"]
            );
            return Err(ApiError::conflict(&target.definition.reference, &target.name, &why));
        }
        if plural == "pods" && object["spec"]["serviceAccountName"] != target.name {
            return Err(ApiError::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                target.name
            )));
        }
        bound[plural.trim_end_matches('s')] = json!({"name": name, "uid": uid});
        if let Some(node) = object["spec"]["nodeName"].as_str().filter(|_| plural == "pods") {
            let uid = self.find("", "nodes", "", node).map(|node| node["metadata"]["uid"].clone());
            bound["node"] = json!({"name": node, "uid": uid});
        }
        Ok(())
    }

    /// The service account behind a token, if the token is good and everything it is bound to still exists.
    pub(crate) fn check_token(&self, token: &str) -> Option<CheckedToken> {
        let claims = self.tokens.verify(token)?;
        let bound = &claims["kubernetes.io"];
        let (namespace, account) = (bound["namespace"].as_str()?, bound["serviceaccount"]["name"].as_str()?);
        let alive = |plural: &str, claim: &Value| -> bool {
            let name = claim["name"].as_str().unwrap_or("");
            self.find("", plural, namespace, name)
                .is_some_and(|object| object["metadata"]["uid"] == claim["uid"])
        };
        if !alive("serviceaccounts", &bound["serviceaccount"]) {
            return None;
        }
        for (claim, plural) in [("pod", "pods"), ("secret", "secrets")] {
            if bound[claim].is_object() && !alive(plural, &bound[claim]) {
                return None;
            }
        }
        let mut actor = Actor {
            name: format!("system:serviceaccount:{namespace}:{account}"),
            uid: bound["serviceaccount"]["uid"].as_str().unwrap_or("").to_owned(),
            groups: [
                "system:serviceaccounts",
                &format!("system:serviceaccounts:{namespace}"),
                "system:authenticated",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..Actor::default()
        };
        for (claim, object, field) in [
            ("pod-name", "pod", "name"),
            ("pod-uid", "pod", "uid"),
            ("node-name", "node", "name"),
            ("node-uid", "node", "uid"),
        ] {
            if let Some(text) = bound[object][field].as_str() {
                actor.extra.insert(format!("authentication.kubernetes.io/{claim}"), vec![text.to_owned()]);
            }
        }
        let id = claims["jti"].as_str().unwrap_or("");
        actor
            .extra
            .insert("authentication.kubernetes.io/credential-id".to_owned(), vec![format!("JTI={id}")]);
        let audiences = match &claims["aud"] {
            Value::String(one) => vec![one.clone()],
            many => many
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect(),
        };
        Some(CheckedToken { actor, audiences })
    }
}
