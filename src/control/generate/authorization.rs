//! Authentication of requests, and authorization policies as RBAC filters: an external provider is asked about what CUSTOM policies
//! match, requests that a DENY policy matches are refused; where ALLOW policies exist, one must match.

mod condition;
mod custom;
mod matching;
mod permission;
mod principal;
mod rule;

use std::collections::HashMap;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::istio::security::authorization_policy::AuthorizationAction;

use super::proto::{any, http, listener, network, rbac};
use super::request_authentication;
use crate::index::Index;
use crate::index::inbound::InboundKey;
use network::http_connection_manager::v3::{HttpFilter, http_filter};
use rule::Context;

/// Annotation of policies that are only tried.
const DRY_RUN: &str = "istio.io/dry-run";

/// The filters of a workload.
#[derive(Debug, Clone)]
pub(crate) struct Policies {
    /// For requests, in order.
    pub(crate) http: Arc<[HttpFilter]>,
    /// For connections, in order.
    pub(crate) tcp: Arc<[listener::Filter]>,
}

type Selected<'a> = Vec<&'a Object<AuthorizationPolicy>>;

/// The rules of one filter.
struct Rules {
    enforced: Option<rbac::Rbac>,
    /// Only counted.
    shadow: Option<rbac::Rbac>,
    /// Before the names of the statistics of `shadow`.
    shadow_prefix: &'static str,
}

/// The filters of the policies that select a workload.
pub(crate) fn policies(index: &Index, key: &InboundKey, gateway: bool) -> Policies {
    let of = |actions: &[AuthorizationAction]| -> Selected<'_> {
        let selected = key.authorization.iter().map(AsRef::as_ref);
        selected
            .filter(|policy: &&Object<AuthorizationPolicy>| actions.contains(&policy.spec.action))
            .collect()
    };
    let deny = of(&[AuthorizationAction::Deny]);
    let custom = of(&[AuthorizationAction::Custom]);
    let allow = of(&[AuthorizationAction::Allow]);
    let audit = of(&[AuthorizationAction::Audit]);
    // Providers are not asked about connections: what the policies match is refused, closed rather than open.
    let provider = |policy: &&Object<AuthorizationPolicy>| {
        policy.spec.provider.as_ref().map(|one| one.name.clone()).unwrap_or_default()
    };
    let closed: Selected<'_> = deny
        .iter()
        .copied()
        .chain(custom.iter().copied().filter(|one| !custom::ignores_connections(index, &provider(one))))
        .collect();
    let filters = |tcp: bool| -> Vec<Rules> {
        use rbac::rbac::Action;
        let deny = if tcp { &closed } else { &deny };
        [(&audit, Action::Log), (deny, Action::Deny), (&allow, Action::Allow)]
            .into_iter()
            .filter(|(selected, _)| !selected.is_empty())
            .map(|(selected, action)| rules(index, selected, action, tcp))
            .collect()
    };
    Policies {
        http: custom::filters(index, &custom)
            .into_iter()
            .chain(request_authentication::filter(key, &index.keys, gateway))
            .chain(filters(false).into_iter().map(for_http))
            .collect(),
        tcp: filters(true).into_iter().map(for_tcp).collect(),
    }
}

fn rules(index: &Index, selected: &Selected<'_>, action: rbac::rbac::Action, tcp: bool) -> Rules {
    let of = |dry_run: bool| {
        let mut wanted = selected.iter().filter(|policy| is_dry_run(policy) == dry_run).peekable();
        wanted.peek()?;
        let policies: HashMap<String, rbac::Policy> = wanted
            .flat_map(|policy| {
                let denies = action != rbac::rbac::Action::Allow;
                let namespace = policy.metadata.namespace.as_str();
                let context = Context { mesh: &index.settings.mesh, namespace, tcp, denies };
                named_rules(policy, context)
            })
            .collect();
        Some(rbac::Rbac { action: action as i32, policies, ..rbac::Rbac::default() })
    };
    let shadow_prefix = match action {
        rbac::rbac::Action::Deny => "istio_dry_run_deny_",
        _ => "istio_dry_run_allow_",
    };
    Rules { enforced: of(false), shadow: of(true), shadow_prefix }
}

fn is_dry_run(policy: &Object<AuthorizationPolicy>) -> bool {
    policy.metadata.annotations.get(DRY_RUN).is_some_and(|value| value == "true")
}

fn named_rules(policy: &Object<AuthorizationPolicy>, context: Context<'_>) -> Vec<(String, rbac::Policy)> {
    let metadata = &policy.metadata;
    let rules = policy.spec.rules.iter().enumerate();
    rules
        .filter_map(|(index, declared)| {
            let name = format!("ns[{}]-policy[{}]-rule[{index}]", metadata.namespace, metadata.name);
            Some((name, rule::policy(declared, context)?))
        })
        .collect()
}

fn for_http(rules: Rules) -> HttpFilter {
    let config = http::rbac::v3::Rbac {
        shadow_rules_stat_prefix: prefix(&rules),
        rules: rules.enforced,
        shadow_rules: rules.shadow,
        ..http::rbac::v3::Rbac::default()
    };
    HttpFilter {
        name: "envoy.filters.http.rbac".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(&config))),
        ..HttpFilter::default()
    }
}

fn for_tcp(rules: Rules) -> listener::Filter {
    let config = network::rbac::v3::Rbac {
        shadow_rules_stat_prefix: prefix(&rules),
        rules: rules.enforced,
        shadow_rules: rules.shadow,
        stat_prefix: "tcp.".to_owned(),
        ..network::rbac::v3::Rbac::default()
    };
    listener::Filter {
        name: "envoy.filters.network.rbac".to_owned(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(any(&config))),
    }
}

fn prefix(rules: &Rules) -> String {
    rules.shadow.as_ref().map(|_| rules.shadow_prefix.to_owned()).unwrap_or_default()
}
