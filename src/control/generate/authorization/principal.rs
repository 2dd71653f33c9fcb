//! Who makes a request.

use sagene_api::istio::security::authorization_policy::Source;
use sagene_model::Mesh;

use super::super::proto::matcher::{MetadataMatcher, StringMatcher};
use super::super::proto::{cidr, rbac, route};
use super::matching::{claim, escaped, expression, generic};
use super::rule::Context;
use rbac::Principal;
use rbac::principal::{Authenticated, Identifier, Set};

/// A principal of this kind.
pub(super) fn principal(identifier: Identifier) -> Principal {
    Principal { identifier: Some(identifier) }
}

/// Everybody.
pub(super) fn anybody() -> Principal {
    principal(Identifier::Any(true))
}

/// All of these.
pub(super) fn all(mut ids: Vec<Principal>) -> Principal {
    match ids.len() {
        0 => anybody(),
        1 => ids.remove(0),
        _ => principal(Identifier::AndIds(Set { ids })),
    }
}

/// Any of these; of none, nobody.
pub(super) fn any_of(ids: Vec<Principal>) -> Principal {
    principal(Identifier::OrIds(Set { ids }))
}

/// Not this one.
pub(super) fn not(one: Principal) -> Principal {
    principal(Identifier::NotId(Box::new(one)))
}

/// The conditions of a source, all of which must hold. `None` where one reads requests and there are only connections.
pub(super) fn conditions(source: &Source, context: Context<'_>) -> Option<Vec<Principal>> {
    let mut made = Vec::new();
    let mut add = |values: &[String], not_values: &[String], of: &dyn Fn(&str) -> Vec<Principal>| {
        pair(&mut made, values, not_values, of);
    };
    let mesh = context.mesh;
    add(&source.principals, &source.not_principals, &|value| identities(value, mesh));
    add(&source.namespaces, &source.not_namespaces, &|value| vec![namespace(value)]);
    add(&source.service_accounts, &source.not_service_accounts, &|value| {
        vec![service_account(value, context.namespace)]
    });
    add(&source.trust_domains, &source.not_trust_domains, &|value| vec![trust_domain(value)]);
    add(&source.ip_blocks, &source.not_ip_blocks, &|value| {
        cidr(value).map(|range| principal(Identifier::DirectRemoteIp(range))).into_iter().collect()
    });
    add(&source.remote_ip_blocks, &source.not_remote_ip_blocks, &|value| {
        cidr(value).map(|range| principal(Identifier::RemoteIp(range))).into_iter().collect()
    });
    if source.request_principals.is_empty() && source.not_request_principals.is_empty() {
        return Some(made);
    }
    if context.tcp {
        // Without requests there are no tokens: an ALLOW rule falls away, a DENY rule keeps the rest.
        return context.denies.then_some(made);
    }
    pair(&mut made, &source.request_principals, &source.not_request_principals, &|value| {
        vec![request_principal(value)]
    });
    Some(made)
}

/// Adds one field: any of its values, none of its counterpart's.
pub(super) fn pair(
    made: &mut Vec<Principal>,
    values: &[String],
    not_values: &[String],
    of: &dyn Fn(&str) -> Vec<Principal>,
) {
    if !values.is_empty() {
        made.push(any_of(values.iter().flat_map(|value| of(value)).collect()));
    }
    if !not_values.is_empty() {
        made.push(not(any_of(not_values.iter().flat_map(|value| of(value)).collect())));
    }
}

fn authenticated(name: StringMatcher) -> Principal {
    principal(Identifier::Authenticated(Authenticated { principal_name: Some(name) }))
}

/// Identities by name; one of the own trust domain counts for all names of it.
pub(super) fn identities(value: &str, mesh: &Mesh) -> Vec<Principal> {
    let own: Vec<&str> =
        std::iter::once(&mesh.trust_domain).chain(&mesh.trust_domain_aliases).map(String::as_str).collect();
    let by_domain =
        value.split_once('/').filter(|(domain, _)| *domain == "cluster.local" || own.contains(domain));
    match by_domain {
        Some((_, rest)) => own
            .iter()
            .map(|domain| authenticated(generic(&format!("{domain}/{rest}"), "spiffe://")))
            .collect(),
        None => vec![authenticated(generic(value, "spiffe://"))],
    }
}

/// Identities of a namespace.
pub(super) fn namespace(value: &str) -> Principal {
    authenticated(expression(&format!(".*/ns/{}/.*", escaped(value))))
}

/// Identities of a service account, `[namespace/]name`.
pub(super) fn service_account(value: &str, own_namespace: &str) -> Principal {
    let (namespace, name) = value.split_once('/').unwrap_or((own_namespace, value));
    let (namespace, name) = (escaped(namespace), escaped(name));
    authenticated(expression(&format!("spiffe://.+/ns/{namespace}/(.+/|)sa/{name}(/.+)?")))
}

/// Identities of a trust domain.
pub(super) fn trust_domain(value: &str) -> Principal {
    authenticated(expression(&format!("spiffe://{}/.*", escaped(value))))
}

/// Identity of a token, `<issuer>/<subject>`: split at the last slash.
pub(super) fn request_principal(value: &str) -> Principal {
    let (issuer, subject) = match value {
        "*" => ("*", "*"),
        value => value.rsplit_once('/').unwrap_or((value, "*")),
    };
    let of = |name: &str, value: &str| token(claim(&[name], generic(value, ""), false));
    all(vec![of("iss", issuer), of("sub", subject)])
}

/// Requests whose token has a claim.
#[allow(deprecated, reason = "Istio writes this field, and its tools show it")]
pub(super) fn token(wanted: MetadataMatcher) -> Principal {
    principal(Identifier::Metadata(wanted))
}

/// Requests with a header.
pub(super) fn header(name: &str, value: &str) -> Principal {
    principal(Identifier::Header(route::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::StringMatch(generic(
            value, "",
        ))),
        ..route::HeaderMatcher::default()
    }))
}
