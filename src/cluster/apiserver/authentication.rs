//! Who makes a request: a client certificate of the cluster's CA, a service-account token, or nobody.

use axum::http::HeaderMap;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::FromDer;

use super::actor::Actor;
use super::error::ApiError;
use super::operations::Operations;
use super::tokens::ISSUER;

/// The user of a verified client certificate: common name and organizations.
pub(crate) fn certificate_user(certificate: &CertificateDer<'_>) -> Option<Actor> {
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    let organizations =
        parsed.subject().iter_organization().filter_map(|value| value.as_str().ok().map(str::to_owned));
    let groups = organizations.chain(["system:authenticated".to_owned()]).collect();
    Some(Actor { name, groups, ..Actor::default() })
}

/// The user of a request. Error: 401 for a bearer token that is no good.
pub(crate) fn authenticate(
    operations: &Operations,
    certificate: Option<&Actor>,
    headers: &HeaderMap,
) -> Result<Actor, ApiError> {
    let mut actor = match (certificate, bearer_token(headers)) {
        (Some(actor), _) => actor.clone(),
        (None, Some(token)) => {
            let checked = operations.check_token(token).ok_or_else(ApiError::unauthorized)?;
            if !checked.audiences.iter().any(|audience| audience == ISSUER) {
                return Err(ApiError::unauthorized());
            }
            checked.actor
        }
        (None, None) => Actor::anonymous(),
    };
    actor = impersonated(actor, headers)?;
    let agent = headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or("");
    actor.manager = agent.split('/').next().unwrap_or("").chars().take(128).collect();
    Ok(actor)
}

/// `kubectl --as`: for administrators.
fn impersonated(actor: Actor, headers: &HeaderMap) -> Result<Actor, ApiError> {
    let Some(user) = headers.get("impersonate-user").and_then(|user| user.to_str().ok()) else {
        return Ok(actor);
    };
    if !actor.is_master() {
        let message = format!(
            "users {user:?} is forbidden: User {:?} cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
            actor.name
        );
        return Err(ApiError::new(403, "Forbidden", message));
    }
    let mut groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .filter_map(|group| group.to_str().ok().map(str::to_owned))
        .collect();
    if let Some((namespace, _)) =
        user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
        && groups.is_empty()
    {
        groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let last = if user == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    groups.push(last.to_owned());
    Ok(Actor { name: user.to_owned(), groups, ..Actor::default() })
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get("authorization")?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
