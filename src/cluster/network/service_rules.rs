//! Services as nftables rules: one chain for each port of a Service, found through a map from address and port.
//!
//! ```text
//! prerouting, output → services-tcp, services-udp : address . port → chain    (ClusterIP, node ports on the node's address)
//! service chain      → one rule for each endpoint, chosen at random for each connection, destination translated
//! prerouting, output → refused-tcp, refused-udp : address . port → reset, port unreachable
//! postrouting        → hairpin : a pod that reached itself through a Service gets the node as its peer
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use nlink::netlink::nftables::ChainName;
use nlink::netlink::nftables::{
    BaseChain, Chain, CmpOp, Expr, Family, Field, FilterHook, IcmpxCode, Match, NatHook, NatStatement,
    NumgenKind, PacketField, Priority, Register, Reject, Rule, RuleSpec, Set, SetElement, SetKeyType, Stmt,
    Transaction, Value, Verdict,
};

use super::{NODE_ADDRESS, POD_PREFIX};

pub(super) const TABLE: &str = "sagene";
const FAMILY: Family = Family::Ip;
const HAIRPIN: &str = "hairpin";

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
    pub(crate) address: Ipv4Addr,
    pub(crate) port: u16,
}

/// Where a frontend's connections go.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Backends {
    /// In a fixed order. Empty: connections are refused.
    pub(crate) endpoints: Vec<(Ipv4Addr, u16)>,
    /// The same client address always gets the same endpoint (as long as the endpoints stay).
    pub(crate) client_affinity: bool,
}

/// All frontends of the cluster.
pub(crate) type Frontends = BTreeMap<Frontend, Backends>;

/// The rules without any Service.
pub(super) fn base(mut transaction: Transaction) -> nlink::Result<Transaction> {
    transaction = transaction.add_table(TABLE, FAMILY);
    for transport in [Transport::Tcp, Transport::Udp] {
        transaction = transaction.add_set(services(transport)).add_set(refused(transport));
    }
    transaction = transaction.add_set(hairpin());
    let nat = [
        ("prerouting", NatHook::Prerouting, Priority::DstNat),
        ("output", NatHook::Output, Priority::DstNat),
    ];
    for (name, hook, priority) in nat {
        transaction = transaction
            .add_chain(Chain::new(TABLE, name)?.family(FAMILY).base(BaseChain::nat(hook, priority)));
        for transport in [Transport::Tcp, Transport::Udp] {
            let vmap = Stmt::Vmap { key: key(transport), map: services_name(transport) };
            transaction = transaction.add_rule(rule(name, RuleSpec::new().then(vmap)));
        }
    }
    for (name, hook) in [("refuse-prerouting", FilterHook::Prerouting), ("refuse-output", FilterHook::Output)]
    {
        let base = BaseChain::filter(hook, Priority::Filter);
        transaction = transaction.add_chain(Chain::new(TABLE, name)?.family(FAMILY).base(base));
        let listed = |transport| Match::eq(key(transport), Value::set(refused_name(transport)));
        let reset = RuleSpec::new().then(listed(Transport::Tcp)).then(Stmt::Reject(Reject::TcpReset));
        let unreachable = RuleSpec::new()
            .then(listed(Transport::Udp))
            .then(Stmt::Reject(Reject::Icmpx(IcmpxCode::PortUnreachable)));
        transaction = transaction.add_rule(rule(name, reset)).add_rule(rule(name, unreachable));
    }
    let base = BaseChain::nat(NatHook::Postrouting, Priority::SrcNat);
    transaction = transaction.add_chain(Chain::new(TABLE, "postrouting")?.family(FAMILY).base(base));
    let pair = Field::Concat(vec![PacketField::Ip4Saddr, PacketField::Ip4Daddr]);
    let masquerade = RuleSpec::new().then(Match::eq(pair, Value::set(HAIRPIN))).then(Stmt::Masquerade);
    Ok(transaction.add_rule(rule("postrouting", masquerade)))
}

/// What leaves the cluster's own ranges goes to the egress relay on `port` of the node.
pub(super) fn egress(transaction: Transaction, port: u16, service_network: (Ipv4Addr, u8)) -> Transaction {
    let pods = IpAddr::V4(Ipv4Addr::from(u32::from(NODE_ADDRESS) & (u32::MAX << (32 - POD_PREFIX))));
    let outside = RuleSpec::new()
        .then(Match::eq(Field::Iifname, super::BRIDGE))
        .then(Match::ne(Field::Ip4Daddr, Value::Prefix(pods, POD_PREFIX)))
        .then(Match::ne(Field::Ip4Daddr, Value::Prefix(service_network.0.into(), service_network.1)))
        .then(Match::eq(Field::L4Proto, 6u8))
        .then(Stmt::Redirect(Some(port)));
    transaction.add_rule(rule("prerouting", outside))
}

/// The changes that turn the rules of `before` into those of `after`; `None` when there is nothing to do.
pub(super) fn difference(
    mut transaction: Transaction,
    before: &Frontends,
    after: &Frontends,
) -> nlink::Result<Option<Transaction>> {
    let mut changed = false;
    for (frontend, backends) in before {
        if after.get(frontend) != Some(backends) {
            changed = true;
            transaction = remove(transaction, frontend, backends)?;
        }
    }
    for (frontend, backends) in after {
        if before.get(frontend) != Some(backends) {
            changed = true;
            transaction = add(transaction, frontend, backends)?;
        }
    }
    Ok(changed.then_some(transaction))
}

fn add(mut transaction: Transaction, frontend: &Frontend, backends: &Backends) -> nlink::Result<Transaction> {
    if backends.endpoints.is_empty() {
        return Ok(transaction.add_set_elements(&refused(frontend.transport), &[element(frontend)]));
    }
    let name = chain_name(frontend);
    transaction = transaction.add_chain(Chain::new(TABLE, name.as_str())?.family(FAMILY));
    let count = backends.endpoints.len();
    for (index, endpoint) in backends.endpoints.iter().enumerate() {
        let remaining = u32::try_from(count - index).unwrap_or(u32::MAX);
        transaction =
            transaction.add_rule(rule(&name, endpoint_rule(frontend, backends, *endpoint, index, remaining)));
    }
    let jump = element(frontend).verdict(Verdict::GotoTo(ChainName::new(name)?));
    Ok(transaction.add_set_elements(&services(frontend.transport), &[jump]))
}

fn remove(transaction: Transaction, frontend: &Frontend, backends: &Backends) -> nlink::Result<Transaction> {
    if backends.endpoints.is_empty() {
        return Ok(transaction.del_set_elements(&refused(frontend.transport), &[element(frontend)]));
    }
    let name = chain_name(frontend);
    let jump = element(frontend).verdict(Verdict::GotoTo(ChainName::new(name.as_str())?));
    Ok(transaction
        .del_set_elements(&services(frontend.transport), &[jump])
        .flush_chain(TABLE, &name, FAMILY)
        .del_chain(TABLE, &name, FAMILY))
}

/// One in `remaining` connections takes this endpoint; the last of a chain takes what is left.
fn endpoint_rule(
    frontend: &Frontend,
    backends: &Backends,
    endpoint: (Ipv4Addr, u16),
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
            (client_hash(&mut spec, total), u32::try_from(index).unwrap_or(0))
        } else {
            (Expr::Numgen { dreg: Register::R0, kind: NumgenKind::Random, modulus: remaining, offset: 0 }, 0)
        };
        let data = wanted.to_ne_bytes().to_vec();
        spec = spec.then(choice).then(Expr::Cmp { sreg: Register::R0, op: CmpOp::Eq, data });
    }
    spec.then(Stmt::Nat(NatStatement::dnat(endpoint.0).port(endpoint.1)))
}

/// Loads the client's address and hashes it to one of `total` numbers.
fn client_hash(spec: &mut RuleSpec, total: u32) -> Expr {
    use nlink::netlink::nftables::{HashKind, PayloadBase};
    const SOURCE_ADDRESS_OFFSET: u32 = 12;
    spec.push(Expr::Payload {
        dreg: Register::R1,
        base: PayloadBase::Network,
        offset: SOURCE_ADDRESS_OFFSET,
        len: 4,
    });
    Expr::Hash {
        dreg: Register::R0,
        kind: HashKind::Jenkins,
        sreg: Some(Register::R1),
        len: 4,
        modulus: total,
        seed: Some(1),
        offset: 0,
    }
}

/// A pod that connects to itself by way of a Service.
pub(super) fn hairpin_elements(pod: Ipv4Addr) -> [SetElement; 1] {
    [SetElement::concat([SetElement::ipv4(pod), SetElement::ipv4(pod)])]
}

pub(super) fn hairpin() -> Set {
    Set::new(TABLE, HAIRPIN)
        .family(FAMILY)
        .key_type(SetKeyType::Concat(vec![SetKeyType::Ipv4Addr, SetKeyType::Ipv4Addr]))
}

fn services(transport: Transport) -> Set {
    Set::new(TABLE, &services_name(transport)).family(FAMILY).key_type(address_and_port()).vmap()
}

fn refused(transport: Transport) -> Set {
    Set::new(TABLE, &refused_name(transport)).family(FAMILY).key_type(address_and_port())
}

fn services_name(transport: Transport) -> String {
    format!("services-{}", transport.name())
}

fn refused_name(transport: Transport) -> String {
    format!("refused-{}", transport.name())
}

fn address_and_port() -> SetKeyType {
    SetKeyType::Concat(vec![SetKeyType::Ipv4Addr, SetKeyType::InetService])
}

fn key(transport: Transport) -> Field {
    Field::Concat(vec![PacketField::Ip4Daddr, transport.port_field()])
}

fn element(frontend: &Frontend) -> SetElement {
    SetElement::concat([SetElement::ipv4(frontend.address), SetElement::port(frontend.port)])
}

fn chain_name(frontend: &Frontend) -> String {
    format!("{}-{}-{}", frontend.transport.name(), frontend.address, frontend.port)
}

fn rule(chain: &str, spec: RuleSpec) -> Rule {
    Rule::from_spec(TABLE, chain, spec).family(FAMILY)
}
