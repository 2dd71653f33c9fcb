//! Rules that tell the proxy's own traffic from the application's.
//!
//! On Kubernetes the proxy runs as user and group 1337. Where it cannot (a user namespace with a single id), it
//! marks its sockets with 1337; the same rules stand first for that mark.

use nlink::netlink::nftables::{CmpOp, Expr, Field, Item, Match, MetaKey, Register, RuleSpec, Verdict};

use super::arguments::{CaptureConfig, DnsCapture, Owner};
use super::rules::{Addresses, INBOUND_REDIRECT, jump, rule, tcp};

const DNS: u16 = 53;

/// For each way to recognize the proxy: calls to its own pod go to its inbound side, all else it sends passes.
pub(super) fn proxy_itself(config: &CaptureConfig, addresses: Addresses) -> Vec<RuleSpec> {
    config.proxy.iter().flat_map(|owner| owner_block(config, addresses, *owner)).collect()
}

fn owner_block(config: &CaptureConfig, addresses: Addresses, owner: Owner) -> Vec<RuleSpec> {
    let captures_dns = config.dns != DnsCapture::Off;
    let loopback_device = || Item::from(Match::eq(Field::Oifname, "lo"));
    let mut to_self = vec![
        loopback_device(),
        Match::ne(addresses.destination(), addresses.loopback).into(),
        tcp(),
        Match::ne(Field::TcpDport, config.tunnel_port).into(),
    ];
    if captures_dns {
        to_self.push(Match::ne(Field::TcpDport, DNS).into());
    }
    to_self.extend(is(owner));
    to_self.push(jump(INBOUND_REDIRECT));

    let mut rules = vec![rule(to_self)];
    // An application that calls itself over the loopback device is not captured. The mark's block must not say
    // so: a proxy known by its user has no mark and is still to be looked at.
    if !matches!(owner, Owner::Mark(_)) {
        let mut application_to_self = vec![loopback_device()];
        if captures_dns {
            application_to_self.push(Match::ne(Field::TcpDport, DNS).into());
        }
        application_to_self.extend(is_not(owner));
        application_to_self.push(Verdict::Return.into());
        rules.push(rule(application_to_self));
    }
    let mut rest = is(owner);
    rest.push(Verdict::Return.into());
    rules.push(rule(rest));
    rules
}

/// Groups that are left out of capture, and the limit to listed groups.
pub(super) fn groups(config: &CaptureConfig) -> Vec<RuleSpec> {
    let mut rules = Vec::new();
    for group in &config.exclude_owner_groups {
        let mut items = is(Owner::Group(*group));
        items.push(Verdict::Return.into());
        rules.push(rule(items));
    }
    if let Some(groups) = &config.owner_groups {
        let mut items: Vec<Item> = groups.iter().flat_map(|group| is_not(Owner::Group(*group))).collect();
        items.push(Verdict::Return.into());
        rules.push(rule(items));
    }
    rules
}

/// The packet's socket belongs to `owner`.
pub(super) fn is(owner: Owner) -> Vec<Item> {
    compare(owner, CmpOp::Eq)
}

fn is_not(owner: Owner) -> Vec<Item> {
    compare(owner, CmpOp::Neq)
}

fn compare(owner: Owner, op: CmpOp) -> Vec<Item> {
    let (key, number) = match owner {
        Owner::Mark(mark) => (MetaKey::Mark, mark),
        Owner::User(user) => (MetaKey::SkUid, user),
        Owner::Group(group) => (MetaKey::SkGid, group),
    };
    vec![
        Expr::Meta { dreg: Register::R0, key }.into(),
        Expr::Cmp { sreg: Register::R0, op, data: number.to_ne_bytes().to_vec() }.into(),
    ]
}
