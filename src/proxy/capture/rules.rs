//! Istio's redirect rules, as tables, chains and rules of nftables; pure, nothing is written here.
//!
//! The chains carry the names and the order of `istio-iptables`, so that a listing reads as Istio's documentation
//! does. Order matters: the first verdict wins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nlink::netlink::nftables::{
    BaseChain, ChainName, CtState, Family, Field, FilterHook, Item, Match, NatHook, Priority, RuleSpec, Stmt,
    Value, Verdict,
};

use super::arguments::{CaptureConfig, Ports, Ranges, Tproxy};
use super::{Cidr, dns_rules, owner_rules, tproxy_rules};

/// Table that redirects connections.
pub(super) const NAT_TABLE: &str = "istio-proxy-nat";
/// Table that keeps the proxy's DNS queries apart from the application's.
pub(super) const RAW_TABLE: &str = "istio-proxy-raw";
/// Table that drops packets of no connection, and hands over connections with their addresses.
pub(super) const MANGLE_TABLE: &str = "istio-proxy-mangle";

pub(super) const INBOUND: &str = "ISTIO_INBOUND";
const OUTPUT: &str = "ISTIO_OUTPUT";
pub(super) const INBOUND_REDIRECT: &str = "ISTIO_IN_REDIRECT";
const OUTBOUND_REDIRECT: &str = "ISTIO_REDIRECT";

/// Source of connections that the proxy makes to its own application over IPv6.
pub(super) const INBOUND_SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6);

const TCP: u8 = 6;

/// A table to write.
pub(super) struct Table {
    pub(super) family: Family,
    pub(super) name: &'static str,
    pub(super) chains: Vec<ChainRules>,
}

/// A chain with its rules, first rule first. Chains that others jump to come before those.
pub(super) struct ChainRules {
    pub(super) name: &'static str,
    /// The hook, for a chain that the kernel itself calls.
    pub(super) base: Option<BaseChain>,
    pub(super) rules: Vec<RuleSpec>,
}

/// What differs between IPv4 and IPv6.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) family: Family,
    pub(super) loopback: IpAddr,
    /// Source of connections that the proxy makes to its own application.
    pub(super) inbound_source: IpAddr,
}

impl Addresses {
    const V4: Self = Self {
        family: Family::Ip,
        loopback: IpAddr::V4(Ipv4Addr::LOCALHOST),
        inbound_source: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6)),
    };
    const V6: Self = Self {
        family: Family::Ip6,
        loopback: IpAddr::V6(Ipv6Addr::LOCALHOST),
        inbound_source: IpAddr::V6(INBOUND_SOURCE_V6),
    };

    /// Whether `address` belongs to this family.
    pub(super) fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.loopback.is_ipv4()
    }

    pub(super) fn source(self) -> Field {
        if self.loopback.is_ipv4() { Field::Ip4Saddr } else { Field::Ip6Saddr }
    }

    pub(super) fn destination(self) -> Field {
        if self.loopback.is_ipv4() { Field::Ip4Daddr } else { Field::Ip6Daddr }
    }

    fn inside(self, range: Cidr) -> Item {
        Match::eq(self.destination(), Value::Prefix(range.address, range.prefix)).into()
    }
}

/// Every table for `config` of these families: IPv4 first, then IPv6.
pub(super) fn tables(config: &CaptureConfig, families: &[Family]) -> Vec<Table> {
    [Addresses::V4, Addresses::V6]
        .into_iter()
        .filter(|addresses| families.contains(&addresses.family))
        .flat_map(|addresses| family_tables(config, addresses))
        .collect()
}

fn family_tables(config: &CaptureConfig, addresses: Addresses) -> Vec<Table> {
    let mut tables =
        vec![Table { family: addresses.family, name: NAT_TABLE, chains: nat_chains(config, addresses) }];
    tables.extend(dns_rules::raw_table(config, addresses));
    let mut mangle = Vec::new();
    if config.drop_invalid {
        mangle.push(ChainRules {
            name: "ISTIO_DROP",
            base: Some(BaseChain::filter(FilterHook::Prerouting, Priority::Mangle)),
            rules: vec![rule([Match::eq(Field::CtState, CtState::INVALID).into(), Verdict::Drop.into()])],
        });
    }
    if let Some(Tproxy { mark, .. }) = config.tproxy {
        mangle.extend(tproxy_rules::chains(config, addresses, mark));
    }
    if !mangle.is_empty() {
        tables.push(Table { family: addresses.family, name: MANGLE_TABLE, chains: mangle });
    }
    tables
}

fn nat_chains(config: &CaptureConfig, addresses: Addresses) -> Vec<ChainRules> {
    let plain = |name, rules| ChainRules { name, base: None, rules };
    let mut output = vec![rule([tcp(), jump(OUTPUT)])];
    output.extend(dns_rules::udp_redirects(config, addresses));
    let mut chains = vec![
        plain(INBOUND_REDIRECT, vec![redirect(config.inbound_port)]),
        plain(OUTBOUND_REDIRECT, vec![redirect(config.outbound_port)]),
    ];
    if config.tproxy.is_none() {
        chains.push(plain(INBOUND, inbound(config, INBOUND_REDIRECT)));
    }
    chains.push(plain(OUTPUT, outbound(config, addresses)));
    chains.push(ChainRules {
        name: "PREROUTING",
        base: Some(BaseChain::nat(NatHook::Prerouting, Priority::DstNat)),
        rules: prerouting(config, addresses),
    });
    chains.push(ChainRules {
        name: "OUTPUT",
        base: Some(BaseChain::nat(NatHook::Output, Priority::DstNat)),
        rules: output,
    });
    chains
}

/// Nothing that comes in by these interfaces is captured.
pub(super) fn excluded_interfaces<'a>(names: impl Iterator<Item = &'a String>) -> Vec<RuleSpec> {
    names
        .map(|name| rule([Match::eq(Field::Iifname, name.as_str()).into(), Verdict::Return.into()]))
        .collect()
}

fn prerouting(config: &CaptureConfig, addresses: Addresses) -> Vec<RuleSpec> {
    let mut rules = excluded_interfaces(config.exclude_interfaces.iter());
    for interface in &config.virtual_interfaces {
        rules.extend(virtual_interface(config, addresses, interface));
    }
    if config.tproxy.is_none() {
        rules.push(rule([tcp(), jump(INBOUND)]));
    }
    rules
}

/// Connections that a virtual machine inside the pod makes come in by an interface; they are outbound traffic.
fn virtual_interface(config: &CaptureConfig, addresses: Addresses, interface: &str) -> Vec<RuleSpec> {
    let from = || Item::from(Match::eq(Field::Iifname, interface));
    let mut rules = Vec::new();
    for range in ranges(&config.exclude_outbound_ranges, addresses) {
        rules.push(rule([from(), addresses.inside(range), Verdict::Return.into()]));
    }
    match &config.outbound_ranges {
        Ranges::All => rules.push(rule([from(), tcp(), jump(OUTBOUND_REDIRECT)])),
        Ranges::Listed(listed) => {
            for range in ranges(listed, addresses) {
                rules.push(rule([from(), tcp(), addresses.inside(range), jump(OUTBOUND_REDIRECT)]));
            }
        }
    }
    rules.push(rule([from(), Verdict::Return.into()]));
    rules
}

/// Which inbound connections continue in the chain `capture`.
pub(super) fn inbound(config: &CaptureConfig, capture: &str) -> Vec<RuleSpec> {
    let to = |port: u16| Item::from(Match::eq(Field::TcpDport, port));
    let mut rules = vec![rule([to(config.tunnel_port), Verdict::Return.into()])];
    match &config.inbound_ports {
        Ports::All => {
            for port in &config.exclude_inbound_ports {
                rules.push(rule([to(*port), Verdict::Return.into()]));
            }
            rules.push(rule([tcp(), jump(capture)]));
        }
        Ports::Listed(ports) => {
            for port in ports {
                rules.push(rule([to(*port), jump(capture)]));
            }
        }
    }
    rules
}

fn outbound(config: &CaptureConfig, addresses: Addresses) -> Vec<RuleSpec> {
    let to_port = |port: u16| Item::from(Match::eq(Field::TcpDport, port));
    let mut rules: Vec<RuleSpec> =
        config.tproxy.iter().map(|tproxy| tproxy_rules::in_a_callers_name(tproxy.mark)).collect();
    for port in &config.exclude_outbound_ports {
        rules.push(rule([to_port(*port), Verdict::Return.into()]));
    }
    for interface in &config.exclude_interfaces {
        rules.push(rule([Match::eq(Field::Oifname, interface.as_str()).into(), Verdict::Return.into()]));
    }
    rules.push(rule([
        Match::eq(Field::Oifname, "lo").into(),
        Match::eq(addresses.source(), addresses.inbound_source).into(),
        Verdict::Return.into(),
    ]));
    rules.extend(owner_rules::proxy_itself(config, addresses));
    rules.extend(owner_rules::groups(config));
    rules.extend(dns_rules::tcp_redirects(config, addresses));
    rules.push(rule([Match::eq(addresses.destination(), addresses.loopback).into(), Verdict::Return.into()]));
    for range in ranges(&config.exclude_outbound_ranges, addresses) {
        rules.push(rule([addresses.inside(range), Verdict::Return.into()]));
    }
    for port in &config.outbound_ports {
        rules.push(rule([to_port(*port), jump(OUTBOUND_REDIRECT)]));
    }
    match &config.outbound_ranges {
        Ranges::All => rules.push(rule([tcp(), jump(OUTBOUND_REDIRECT)])),
        Ranges::Listed(listed) => {
            for range in ranges(listed, addresses) {
                rules.push(rule([tcp(), addresses.inside(range), jump(OUTBOUND_REDIRECT)]));
            }
        }
    }
    rules
}

fn ranges(all: &[Cidr], addresses: Addresses) -> impl Iterator<Item = Cidr> {
    all.iter().copied().filter(move |range| addresses.has(range.address))
}

/// One rule of these parts.
pub(super) fn rule(items: impl IntoIterator<Item = Item>) -> RuleSpec {
    items.into_iter().collect()
}

pub(super) fn tcp() -> Item {
    Match::eq(Field::L4Proto, TCP).into()
}

/// Continue in one of our own chains. Their names are constants the kernel accepts; should one not be, the rule
/// returns instead, which captures nothing.
pub(super) fn jump(chain: &str) -> Item {
    ChainName::new(chain).map_or(Verdict::Return, Verdict::JumpTo).into()
}

fn redirect(port: u16) -> RuleSpec {
    rule([tcp(), Stmt::Redirect(Some(port)).into()])
}

/// The tables in nft's language, one line each.
pub(super) fn describe(tables: &[Table]) -> Vec<String> {
    let mut lines = Vec::new();
    for table in tables {
        lines.push(format!("table {} {} {{", table.family.name(), table.name));
        for chain in &table.chains {
            lines.push(format!("  chain {} {{", chain.name));
            if let Some(base) = &chain.base {
                let priority = base.priority().to_i32();
                let hook = format!("{:?}", base.hook()).to_lowercase();
                lines.push(format!(
                    "    type {} hook {hook} priority {priority};",
                    base.chain_type().as_str()
                ));
            }
            for spec in &chain.rules {
                lines.push(format!("    {}", spec.nft_syntax(table.family).unwrap_or_default()));
            }
            lines.push("  }".to_owned());
        }
        lines.push("}".to_owned());
    }
    lines
}
