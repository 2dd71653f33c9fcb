//! RequestAuthentication: which JSON Web Tokens are valid.

use crate::Duration;
use crate::istio::IstioStatus;
use crate::istio::types::{PolicyTargetReference, WorkloadSelector};
use crate::schema::rules;

shape! {
    /// Accepted tokens of requests to the selected workloads.
    #[derive(Eq)]
    #[shape(extend("x-kubernetes-validations" =
        rules::selector_or_target("selector", &["selector", "targetRef", "targetRefs"])))]
    pub struct RequestAuthentication {
        /// Workloads it applies to; absent means the namespace, in the root namespace the mesh.
        pub selector: Option<WorkloadSelector>,
        /// Deprecated: the one object it attaches to.
        pub target_ref: Option<PolicyTargetReference>,
        /// Objects it attaches to.
        #[shape(length(max = 16))]
        pub target_refs: Vec<PolicyTargetReference>,
        /// Issuers; a token of any of them is accepted.
        #[shape(length(max = 4096))]
        pub jwt_rules: Vec<JwtRule>,
    }

    /// Tokens of one issuer.
    #[derive(Eq)]
    #[shape(extend("x-kubernetes-validations" = rules::rule(
        "only one of jwks or jwksUri can be set",
        "(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1",
    )))]
    pub struct JwtRule {
        /// `iss` claim; empty accepts any.
        #[shape(length(min = 1))]
        pub issuer: String,
        /// Accepted `aud` claims; empty means any.
        #[shape(inner(length(min = 1)))]
        pub audiences: Vec<String>,
        /// Where the public keys are; empty means OpenID discovery at the issuer.
        #[shape(length(min = 1, max = 2048), extend("x-kubernetes-validations" = uri_rules()))]
        pub jwks_uri: String,
        /// The older spelling of `jwksUri`.
        #[shape(name = "jwks_uri")]
        #[shape(length(min = 1, max = 2048), extend("x-kubernetes-validations" = uri_rules()))]
        pub jwks_uri_snake: String,
        /// The public keys.
        pub jwks: String,
        /// Headers the token may stand in.
        pub from_headers: Vec<JwtHeader>,
        /// Query parameters the token may stand in.
        #[shape(inner(length(min = 1)))]
        pub from_params: Vec<String>,
        /// Cookies the token may stand in.
        #[shape(inner(length(min = 1)))]
        pub from_cookies: Vec<String>,
        /// Header the payload is handed on in, base64url.
        pub output_payload_to_header: String,
        /// Whether the token is handed on.
        pub forward_original_token: bool,
        /// Claims handed on in headers.
        pub output_claim_to_headers: Vec<ClaimToHeader>,
        /// Time allowed to fetch keys; absent means 5 s.
        pub timeout: Option<Duration>,
        /// Claims whose text is a list separated by spaces.
        #[shape(length(max = 64), inner(length(min = 1)))]
        pub space_delimited_claims: Vec<String>,
        /// Whether a token must be there; accepted and, as in Istio, not in effect.
        pub presence: JwtPresence,
    }

    /// A header a token may stand in.
    #[derive(Eq)]
    #[shape(extend("required" = ["name"]))]
    pub struct JwtHeader {
        /// Name.
        #[shape(length(min = 1))]
        pub name: String,
        /// Text before the token, such as `Bearer ` with its space.
        pub prefix: String,
    }

    /// A claim handed on in a header.
    #[derive(Eq)]
    #[shape(extend("required" = ["header", "claim"]))]
    pub struct ClaimToHeader {
        /// The header.
        #[shape(length(min = 1), regex(pattern = r"^[-_A-Za-z0-9]+$"))]
        pub header: String,
        /// The claim; nested ones with dots.
        #[shape(length(min = 1))]
        pub claim: String,
    }
}

string_enum! {
    /// Whether a token must be there.
    pub enum JwtPresence {
        /// No.
        Optional = "OPTIONAL",
        /// Yes.
        Required = "REQUIRED",
    }
}

impl JwtRule {
    /// Where the public keys are, by either spelling of the field.
    pub fn key_location(&self) -> &str {
        if self.jwks_uri.is_empty() { &self.jwks_uri_snake } else { &self.jwks_uri }
    }
}

fn uri_rules() -> serde_json::Value {
    rules::rule("url must have scheme http:// or https://", "url(self).getScheme() in [\"http\", \"https\"]")
}

resource!(
    RequestAuthentication,
    "security.istio.io",
    "RequestAuthentication",
    "requestauthentications",
    true,
    ["v1", "v1beta1"],
    status = IstioStatus
);
