//! The `when` of a rule: conditions on attributes by name.

use sagene_api::istio::security::authorization_policy::Condition;

use super::super::proto::{cidr, rbac};
use super::matching::{claim, generic};
use super::permission::{self, permission};
use super::principal::{self, principal};
use super::rule::Context;
use rbac::permission::Rule;
use rbac::principal::Identifier;

/// A condition in Envoy's form.
pub(super) enum Made {
    /// On the client or the request.
    Principals(Vec<rbac::Principal>),
    /// On the destination.
    Permissions(Vec<rbac::Permission>),
    /// It reads requests, and there are only connections; or nobody knows the attribute.
    Unreadable,
}

/// Reads a condition.
pub(super) fn condition(declared: &Condition, context: Context<'_>) -> Made {
    let (values, not_values) = (&declared.values, &declared.not_values);
    let principals = |of: &dyn Fn(&str) -> Vec<rbac::Principal>| {
        let mut made = Vec::new();
        principal::pair(&mut made, values, not_values, of);
        Made::Principals(made)
    };
    let permissions = |of: &dyn Fn(&str) -> Option<rbac::Permission>| {
        let mut made = Vec::new();
        permission::pair(&mut made, values, not_values, of);
        Made::Permissions(made)
    };
    let address = |of: fn(super::super::proto::core::CidrRange) -> Identifier| {
        move |value: &str| cidr(value).map(|range| principal(of(range))).into_iter().collect::<Vec<_>>()
    };
    match declared.key.as_str() {
        "source.ip" => principals(&address(Identifier::DirectRemoteIp)),
        "remote.ip" => principals(&address(Identifier::RemoteIp)),
        "source.namespace" => principals(&|value| vec![principal::namespace(value)]),
        "source.principal" => principals(&|value| principal::identities(value, context.mesh)),
        "source.serviceAccount" => {
            principals(&|value| vec![principal::service_account(value, context.namespace)])
        }
        "source.trustDomain" => principals(&|value| vec![principal::trust_domain(value)]),
        "destination.ip" => {
            permissions(&|value| cidr(value).map(|range| permission(Rule::DestinationIp(range))))
        }
        "destination.port" => permissions(&permission::port),
        "connection.sni" => {
            permissions(&|value| Some(permission(Rule::RequestedServerName(generic(value, "")))))
        }
        _ if context.tcp => Made::Unreadable,
        "request.auth.principal" => principals(&|value| vec![principal::request_principal(value)]),
        "request.auth.audiences" => principals(&|value| in_claim(&["aud"], value)),
        "request.auth.presenter" => principals(&|value| in_claim(&["azp"], value)),
        key => match (bracketed(key, "request.headers"), bracketed(key, "request.auth.claims")) {
            (Some(names), _) if names.len() == 1 => {
                principals(&|value| vec![principal::header(names[0], value)])
            }
            (_, Some(path)) => principals(&|value| in_claim(&path, value)),
            _ => Made::Unreadable,
        },
    }
}

/// A claim that is a text or a list of texts.
fn in_claim(path: &[&str], value: &str) -> Vec<rbac::Principal> {
    [false, true].map(|list| principal::token(claim(path, generic(value, ""), list))).to_vec()
}

/// The names in `prefix[a][b]`.
fn bracketed<'a>(key: &'a str, prefix: &str) -> Option<Vec<&'a str>> {
    let inner = key.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']')?;
    Some(inner.split("][").collect())
}
