//! Pods as nftables rules, in the tables of the Services.
//!
//! ```text
//! prerouting, output → pods : an address of the pods' range that no pod has refuses connections (reset, host unreachable)
//! postrouting        → hairpin : a pod that reached itself through a Service gets the node as its peer
//! ```
//!
//! Without the first, whoever calls a pod that has just gone waits until its connect timeout, for nobody is there to say that the address
//! is not in use. Rules say it, not a route: the kernel lets a route answer a client but once a second.

use std::net::IpAddr;

use nlink::netlink::nftables::{
    Family, Field, IcmpxCode, Match, PacketField, Reject, RuleSpec, Set, SetElement, SetKeyType, Stmt,
    Transaction, Value,
};

use super::service_rules::{POSTROUTING, REFUSING, TABLE, address_type, destination, family, ip, rule};
use super::{Addresses, NODE_ADDRESS, NODE_ADDRESS_V6, POD_PREFIX, POD_PREFIX_V6};

const PODS: &str = "pods";
const HAIRPIN: &str = "hairpin";

/// The rules of a family without any pod, for a transaction that makes the Services' table and chains.
pub(super) fn base(mut transaction: Transaction, family: Family) -> Transaction {
    let (node, prefix): (IpAddr, u8) = if family == Family::Ip6 {
        (NODE_ADDRESS_V6.into(), POD_PREFIX_V6)
    } else {
        (NODE_ADDRESS.into(), POD_PREFIX)
    };
    transaction = transaction
        .add_set(pods(family))
        .add_set_elements(&pods(family), &[ip(node)])
        .add_set(hairpin(family));
    for (chain, _) in REFUSING {
        let absent = || {
            let field = || Field::from(destination(family));
            RuleSpec::new()
                .then(Match::eq(field(), Value::Prefix(node, prefix)))
                .then(Match::ne(field(), Value::set(PODS)))
        };
        let reset = absent().then(Match::eq(Field::L4Proto, 6u8)).then(Stmt::Reject(Reject::TcpReset));
        let unreachable = absent().then(Stmt::Reject(Reject::Icmpx(IcmpxCode::HostUnreachable)));
        transaction =
            transaction.add_rule(rule(family, chain, reset)).add_rule(rule(family, chain, unreachable));
    }
    let pair = Field::Concat(vec![source(family), destination(family)]);
    let masquerade = RuleSpec::new().then(Match::eq(pair, Value::set(HAIRPIN))).then(Stmt::Masquerade);
    transaction.add_rule(rule(family, POSTROUTING, masquerade))
}

/// What makes a pod known: for each of its addresses the sets and the elements.
pub(super) fn elements(pod: Addresses) -> impl Iterator<Item = (Set, [SetElement; 1])> {
    pod.all().flat_map(|address| {
        let family = family(address);
        [(pods(family), [ip(address)]), (hairpin(family), [SetElement::concat([ip(address), ip(address)])])]
    })
}

fn pods(family: Family) -> Set {
    Set::new(TABLE, PODS).family(family).key_type(address_type(family))
}

fn hairpin(family: Family) -> Set {
    Set::new(TABLE, HAIRPIN)
        .family(family)
        .key_type(SetKeyType::Concat(vec![address_type(family), address_type(family)]))
}

fn source(family: Family) -> PacketField {
    if family == Family::Ip6 { PacketField::Ip6Saddr } else { PacketField::Ip4Saddr }
}
