//! Rules that hand inbound connections to the proxy without changing their addresses (interception mode `TPROXY`).
//!
//! The proxy's listening socket is transparent: it takes connections to any port of the pod, and the pod's own
//! address stays their destination. To the application the proxy connects with the caller's address; those
//! connections are marked, and so is what the application answers on them, so that the route table of
//! [`super::tproxy_routes`] keeps them inside the pod. Calls of a pod to itself are redirected as in mode `REDIRECT`.

use nlink::netlink::nftables::{
    BaseChain, CtState, Field, FilterHook, Item, Match, Priority, RuleSpec, Stmt, Verdict,
};

use super::arguments::CaptureConfig;
use super::rules::{Addresses, ChainRules, INBOUND, excluded_interfaces, inbound, jump, rule, tcp};

const TRANSPARENT: &str = "ISTIO_TPROXY";

/// The chains of the mangle table, for connections with this mark.
pub(super) fn chains(config: &CaptureConfig, addresses: Addresses, mark: u32) -> Vec<ChainRules> {
    let marked = || Item::from(Match::eq(Field::Mark, mark));
    let mut prerouting = vec![
        rule([tcp(), marked(), Stmt::SaveMarkToCt.into(), Verdict::Return.into()]),
        // What a pod sends to itself is captured where it is sent, or not at all.
        rule([Match::eq(Field::Iifname, "lo").into(), Verdict::Return.into()]),
    ];
    prerouting
        .extend(excluded_interfaces(config.exclude_interfaces.iter().chain(&config.virtual_interfaces)));
    prerouting.push(rule([tcp(), jump(INBOUND)]));
    let answers = rule([
        tcp(),
        Match::eq(Field::CtMark, mark).into(),
        Stmt::RestoreMarkFromCt.into(),
        Verdict::Return.into(),
    ]);
    let plain = |name, rules| ChainRules { name, base: None, rules };
    vec![
        plain(TRANSPARENT, to_proxy(config, addresses, mark)),
        plain(INBOUND, inbound(config, TRANSPARENT)),
        ChainRules {
            name: "PREROUTING",
            base: Some(BaseChain::filter(FilterHook::Prerouting, Priority::Mangle)),
            rules: prerouting,
        },
        // A chain of this type has packets routed again whose mark it changed.
        ChainRules { name: "OUTPUT", base: Some(BaseChain::route(Priority::Mangle)), rules: vec![answers] },
    ]
}

/// A packet whose socket is not transparent falls through the first rule: an answer to a connection that the pod
/// made goes its way, a new connection that no proxy takes must not reach the application past it.
fn to_proxy(config: &CaptureConfig, addresses: Addresses, mark: u32) -> Vec<RuleSpec> {
    let transparent = Stmt::Tproxy { family: addresses.family, addr: None, port: Some(config.inbound_port) };
    vec![
        rule([tcp(), transparent.into(), Stmt::SetMark(mark).into(), Verdict::Accept.into()]),
        rule([tcp(), Match::eq(Field::CtState, CtState::NEW).into(), Verdict::Drop.into()]),
    ]
}

/// The first rule of outbound capture: connections from the proxy to its application in a caller's name.
pub(super) fn in_a_callers_name(mark: u32) -> RuleSpec {
    rule([Match::eq(Field::Mark, mark).into(), Verdict::Return.into()])
}
