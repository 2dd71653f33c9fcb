//! What can be wrong with a token, in Envoy's words: they are the body of the refusal.

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Missed,
    NotYetValid,
    Expired,
    BadFormat,
    HeaderBase64,
    HeaderJson,
    HeaderAlg,
    HeaderAlgUnknown,
    HeaderKid,
    PayloadBase64,
    PayloadJson,
    IssuerNotText,
    SubjectNotText,
    IssuedAtNotInteger,
    IssuedAtOutOfRange,
    NotBeforeNotInteger,
    NotBeforeOutOfRange,
    ExpiryNotInteger,
    ExpiryOutOfRange,
    IdNotText,
    AudienceNotText,
    SignatureBase64,
    VerificationFails,
    KeyMismatch,
    UnknownIssuer,
    AudienceNotAllowed,
    SubjectNotAllowed,
    MissingExpiry,
    LifetimeExceeded,
}

impl Status {
    /// The text of Envoy's `jwt_verify` library.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Missed => "Jwt is missing",
            Self::NotYetValid => "Jwt not yet valid",
            Self::Expired => "Jwt is expired",
            Self::BadFormat => {
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
            }
            Self::HeaderBase64 => "Jwt header is an invalid Base64url encoded",
            Self::HeaderJson => "Jwt header is an invalid JSON",
            Self::HeaderAlg => "Jwt header [alg] field is required and must be a string",
            Self::HeaderAlgUnknown => "Jwt header [alg] is not supported",
            Self::HeaderKid => "Jwt header [kid] field is not a string",
            Self::PayloadBase64 => "Jwt payload is an invalid Base64url encoded",
            Self::PayloadJson => "Jwt payload is an invalid JSON",
            Self::IssuerNotText => "Jwt payload [iss] field is not a string",
            Self::SubjectNotText => "Jwt payload [sub] field is not a string",
            Self::IssuedAtNotInteger => "Jwt payload [iat] field is not an integer",
            Self::IssuedAtOutOfRange => "Jwt payload [iat] field is not a positive 64 bit integer",
            Self::NotBeforeNotInteger => "Jwt payload [nbf] field is not an integer",
            Self::NotBeforeOutOfRange => "Jwt payload [nbf] field is not a positive 64 bit integer",
            Self::ExpiryNotInteger => "Jwt payload [exp] field is not an integer",
            Self::ExpiryOutOfRange => "Jwt payload [exp] field is not a positive 64 bit integer",
            Self::IdNotText => "Jwt payload [jti] field is not a string",
            Self::AudienceNotText => "Jwt payload [aud] field is not a string or string list",
            Self::SignatureBase64 => "Jwt signature is an invalid Base64url encoded",
            Self::VerificationFails => "Jwt verification fails",
            Self::KeyMismatch => "Jwks doesn't have key to match kid or alg from Jwt",
            Self::UnknownIssuer => "Jwt issuer is not configured",
            Self::AudienceNotAllowed => "Audiences in Jwt are not allowed",
            Self::SubjectNotAllowed => "Subject in Jwt is not allowed",
            Self::MissingExpiry => "Jwt does not have an expiration",
            Self::LifetimeExceeded => "Jwt lifetime is too long",
        }
    }

    /// The code details of the refusal.
    pub(crate) fn details(self) -> String {
        let words: Vec<&str> = self.text().split_whitespace().collect();
        format!("jwt_authn_access_denied{{{}}}", words.join("_"))
    }

    /// Says nothing about the token itself: another provider may know better.
    pub(crate) fn is_vague(self) -> bool {
        matches!(self, Self::Missed | Self::UnknownIssuer)
    }
}
