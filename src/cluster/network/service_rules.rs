//! Services as nftables rules: one chain for each port of a Service, found through a map from address and port.
//!
//! ```text
//! prerouting, output → services-tcp, services-udp : address . port → chain    (ClusterIP, node ports on the node's address)
//! service chain      → one rule for each endpoint, chosen at random for each connection, destination translated
//! prerouting, output → refused-tcp, refused-udp : address . port → reset, port unreachable
//! ```
//!
//! Each family has a table of its own with the same names; `pod_rules` has the rules of pods in it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use nlink::netlink::nftables::ChainName;
use nlink::netlink::nftables::{
    BaseChain, Chain, CmpOp, Expr, Family, Field, FilterHook, IcmpxCode, Match, NatHook, NatStatement,
    NumgenKind, PacketField, Priority, Register, Reject, Rule, RuleSpec, Set, SetElement, SetKeyType, Stmt,
    Transaction, Value, Verdict,
};

pub(super) const TABLE: &str = "sagene";

/// Chains that refuse what nothing answers, of pods and of the node itself; destinations are translated by then.
pub(super) const REFUSING: [(&str, FilterHook); 2] =
    [("refuse-prerouting", FilterHook::Prerouting), ("refuse-output", FilterHook::Output)];
/// Chain where the addresses of clients are translated.
pub(super) const POSTROUTING: &str = "postrouting";

/// Transport protocol of a Service's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    /// From `ports[].protocol`; `None` for SCTP, which is not carried.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            _ => None,
        }
    }

    fn port_field(self) -> PacketField {
        match self {
            Self::Tcp => PacketField::TcpDport,
            Self::Udp => PacketField::UdpDport,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An address and port that connections are made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Frontend {
    pub(crate) transport: Transport,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl Frontend {
    fn family(&self) -> Family {
        family(self.address)
    }
}

/// Where a frontend's connections go.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Backends {
    /// Of the frontend's family, in a fixed order. Empty: connections are refused.
    pub(crate) endpoints: Vec<(IpAddr, u16)>,
    /// The same client address always gets the same endpoint (as long as the endpoints stay).
    pub(crate) client_affinity: bool,
}

/// All frontends of the cluster.
pub(crate) type Frontends = BTreeMap<Frontend, Backends>;

/// The rules of a family without any Service.
pub(super) fn base(mut transaction: Transaction, family: Family) -> nlink::Result<Transaction> {
    transaction = transaction.add_table(TABLE, family);
    for transport in [Transport::Tcp, Transport::Udp] {
        transaction = transaction.add_set(services(family, transport)).add_set(refused(family, transport));
    }
    let nat = [
        ("prerouting", NatHook::Prerouting, Priority::DstNat),
        ("output", NatHook::Output, Priority::DstNat),
    ];
    for (name, hook, priority) in nat {
        transaction = transaction
            .add_chain(Chain::new(TABLE, name)?.family(family).base(BaseChain::nat(hook, priority)));
        for transport in [Transport::Tcp, Transport::Udp] {
            let vmap = Stmt::Vmap { key: key(family, transport), map: services_name(transport) };
            transaction = transaction.add_rule(rule(family, name, RuleSpec::new().then(vmap)));
        }
    }
    for (name, hook) in REFUSING {
        let base = BaseChain::filter(hook, Priority::Filter);
        transaction = transaction.add_chain(Chain::new(TABLE, name)?.family(family).base(base));
        let listed = |transport| Match::eq(key(family, transport), Value::set(refused_name(transport)));
        let reset = RuleSpec::new().then(listed(Transport::Tcp)).then(Stmt::Reject(Reject::TcpReset));
        let unreachable = RuleSpec::new()
            .then(listed(Transport::Udp))
            .then(Stmt::Reject(Reject::Icmpx(IcmpxCode::PortUnreachable)));
        transaction =
            transaction.add_rule(rule(family, name, reset)).add_rule(rule(family, name, unreachable));
    }
    let base = BaseChain::nat(NatHook::Postrouting, Priority::SrcNat);
    Ok(transaction.add_chain(Chain::new(TABLE, POSTROUTING)?.family(family).base(base)))
}

/// What leaves the cluster's own `ranges`, which are of one family, goes to the egress relay at `relay` of the node.
pub(super) fn egress(transaction: Transaction, relay: SocketAddr, ranges: [(IpAddr, u8); 2]) -> Transaction {
    let field = || if relay.is_ipv4() { Field::Ip4Daddr } else { Field::Ip6Daddr };
    let outside = ranges
        .into_iter()
        .fold(RuleSpec::new().then(Match::eq(Field::Iifname, super::BRIDGE)), |rule, (network, prefix)| {
            rule.then(Match::ne(field(), Value::Prefix(network, prefix)))
        })
        .then(Match::eq(Field::L4Proto, 6u8))
        .then(Stmt::Nat(NatStatement::dnat(relay.ip()).port(relay.port())));
    transaction.add_rule(rule(family(relay.ip()), "prerouting", outside))
}

/// The changes after which these frontends lead where they should, where `installed` is what there is; `None` when there is nothing to do.
pub(super) fn difference(
    mut transaction: Transaction,
    installed: &Frontends,
    wanted: &[(Frontend, Option<Backends>)],
) -> nlink::Result<Option<Transaction>> {
    let differs =
        |(frontend, backends): &&(Frontend, Option<Backends>)| installed.get(frontend) != backends.as_ref();
    let mut changed = false;
    for (frontend, backends) in wanted.iter().filter(differs) {
        changed = true;
        if let Some(before) = installed.get(frontend) {
            transaction = remove(transaction, frontend, before)?;
        }
        if let Some(backends) = backends {
            transaction = add(transaction, frontend, backends)?;
        }
    }
    Ok(changed.then_some(transaction))
}

fn add(mut transaction: Transaction, frontend: &Frontend, backends: &Backends) -> nlink::Result<Transaction> {
    if backends.endpoints.is_empty() {
        return Ok(transaction
            .add_set_elements(&refused(frontend.family(), frontend.transport), &[element(frontend)]));
    }
    let name = chain_name(frontend);
    transaction = transaction.add_chain(Chain::new(TABLE, name.as_str())?.family(frontend.family()));
    let count = backends.endpoints.len();
    for (index, endpoint) in backends.endpoints.iter().enumerate() {
        let remaining = u32::try_from(count - index).unwrap_or(u32::MAX);
        let spec = endpoint_rule(frontend, backends, *endpoint, index, remaining);
        transaction = transaction.add_rule(rule(frontend.family(), &name, spec));
    }
    let jump = element(frontend).verdict(Verdict::GotoTo(ChainName::new(name)?));
    Ok(transaction.add_set_elements(&services(frontend.family(), frontend.transport), &[jump]))
}

fn remove(transaction: Transaction, frontend: &Frontend, backends: &Backends) -> nlink::Result<Transaction> {
    if backends.endpoints.is_empty() {
        return Ok(transaction
            .del_set_elements(&refused(frontend.family(), frontend.transport), &[element(frontend)]));
    }
    let name = chain_name(frontend);
    let jump = element(frontend).verdict(Verdict::GotoTo(ChainName::new(name.as_str())?));
    Ok(transaction
        .del_set_elements(&services(frontend.family(), frontend.transport), &[jump])
        .flush_chain(TABLE, &name, frontend.family())
        .del_chain(TABLE, &name, frontend.family()))
}

/// One in `remaining` connections takes this endpoint; the last of a chain takes what is left.
fn endpoint_rule(
    frontend: &Frontend,
    backends: &Backends,
    endpoint: (IpAddr, u16),
    index: usize,
    remaining: u32,
) -> RuleSpec {
    let mut spec = RuleSpec::new().then(Match::eq(
        Field::L4Proto,
        match frontend.transport {
            Transport::Tcp => 6u8,
            Transport::Udp => 17u8,
        },
    ));
    if remaining > 1 {
        let (choice, wanted) = if backends.client_affinity {
            let total = u32::try_from(backends.endpoints.len()).unwrap_or(u32::MAX);
            (client_hash(&mut spec, frontend.family(), total), u32::try_from(index).unwrap_or(0))
        } else {
            (Expr::Numgen { dreg: Register::R0, kind: NumgenKind::Random, modulus: remaining, offset: 0 }, 0)
        };
        let data = wanted.to_ne_bytes().to_vec();
        spec = spec.then(choice).then(Expr::Cmp { sreg: Register::R0, op: CmpOp::Eq, data });
    }
    spec.then(Stmt::Nat(NatStatement::dnat(endpoint.0).port(endpoint.1)))
}

/// Loads the client's address and hashes it to one of `total` numbers.
fn client_hash(spec: &mut RuleSpec, family: Family, total: u32) -> Expr {
    use nlink::netlink::nftables::{HashKind, PayloadBase};
    // Where the header of the family has the source address.
    let (offset, len) = if family == Family::Ip6 { (8, 16) } else { (12, 4) };
    spec.push(Expr::Payload { dreg: Register::R1, base: PayloadBase::Network, offset, len });
    Expr::Hash {
        dreg: Register::R0,
        kind: HashKind::Jenkins,
        sreg: Some(Register::R1),
        len,
        modulus: total,
        seed: Some(1),
        offset: 0,
    }
}

fn services(family: Family, transport: Transport) -> Set {
    Set::new(TABLE, &services_name(transport)).family(family).key_type(address_and_port(family)).vmap()
}

fn refused(family: Family, transport: Transport) -> Set {
    Set::new(TABLE, &refused_name(transport)).family(family).key_type(address_and_port(family))
}

fn services_name(transport: Transport) -> String {
    format!("services-{}", transport.name())
}

fn refused_name(transport: Transport) -> String {
    format!("refused-{}", transport.name())
}

pub(super) fn family(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::Ip } else { Family::Ip6 }
}

pub(super) fn address_type(family: Family) -> SetKeyType {
    if family == Family::Ip6 { SetKeyType::Ipv6Addr } else { SetKeyType::Ipv4Addr }
}

pub(super) fn destination(family: Family) -> PacketField {
    if family == Family::Ip6 { PacketField::Ip6Daddr } else { PacketField::Ip4Daddr }
}

fn address_and_port(family: Family) -> SetKeyType {
    SetKeyType::Concat(vec![address_type(family), SetKeyType::InetService])
}

fn key(family: Family, transport: Transport) -> Field {
    Field::Concat(vec![destination(family), transport.port_field()])
}

pub(super) fn ip(address: IpAddr) -> SetElement {
    match address {
        IpAddr::V4(address) => SetElement::ipv4(address),
        IpAddr::V6(address) => SetElement::ipv6(address),
    }
}

fn element(frontend: &Frontend) -> SetElement {
    SetElement::concat([ip(frontend.address), SetElement::port(frontend.port)])
}

fn chain_name(frontend: &Frontend) -> String {
    format!("{}-{}-{}", frontend.transport.name(), frontend.address, frontend.port)
}

pub(super) fn rule(family: Family, chain: &str, spec: RuleSpec) -> Rule {
    Rule::from_spec(TABLE, chain, spec).family(family)
}
