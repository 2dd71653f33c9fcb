//! A rule: any of its sources, any of its operations, all of its conditions.

use sagene_api::istio::security::authorization_policy::Rule;
use sagene_model::Mesh;

use super::super::proto::rbac;
use super::condition::{Made, condition};
use super::{permission, principal};

/// For whom a rule is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) mesh: &'a Mesh,
    /// Namespace of the policy.
    pub(super) namespace: &'a str,
    /// Only connections can be seen.
    pub(super) tcp: bool,
    /// The policy refuses what it matches: what cannot be read is left out, so that it refuses more rather than less.
    pub(super) denies: bool,
}

/// The rule in Envoy's form; `None` where it can match nothing.
pub(super) fn policy(declared: &Rule, context: Context<'_>) -> Option<rbac::Policy> {
    let mut of_client = Vec::new();
    let mut of_target = Vec::new();
    for condition in declared.when.iter().map(|one| condition(one, context)) {
        match condition {
            Made::Principals(made) => of_client.extend(made),
            Made::Permissions(made) => of_target.extend(made),
            Made::Unreadable if context.denies => {}
            Made::Unreadable => return None,
        }
    }
    let mut principals = Vec::new();
    for from in &declared.from {
        let source = from.source.clone().unwrap_or_default();
        if let Some(own) = principal::conditions(&source, context) {
            principals.push(principal::all(own.into_iter().chain(of_client.iter().cloned()).collect()));
        }
    }
    let mut permissions = Vec::new();
    for to in &declared.to {
        let operation = to.operation.clone().unwrap_or_default();
        if let Some(own) = permission::conditions(&operation, context) {
            permissions.push(permission::all(own.into_iter().chain(of_target.iter().cloned()).collect()));
        }
    }
    if (principals.is_empty() && !declared.from.is_empty())
        || (permissions.is_empty() && !declared.to.is_empty())
    {
        return None;
    }
    if principals.is_empty() {
        principals.push(principal::all(of_client));
    }
    if permissions.is_empty() {
        permissions.push(permission::all(of_target));
    }
    Some(rbac::Policy { permissions, principals, ..rbac::Policy::default() })
}
