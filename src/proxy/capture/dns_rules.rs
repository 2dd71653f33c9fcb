//! Rules that bring DNS queries to the proxy's name server.
//!
//! UDP has no connection: the proxy's own query to the name server and the application's captured query can have
//! the same five-tuple. Two conntrack zones keep them apart: 1 for what the proxy exchanges with servers, 2 for what
//! the application exchanges with the proxy.

use std::net::IpAddr;

use nlink::netlink::nftables::{
    BaseChain, Field, FilterHook, Item, Match, Priority, RuleSpec, Stmt, Verdict,
};

use super::arguments::{CaptureConfig, DnsCapture};
use super::owner_rules::is;
use super::rules::{Addresses, ChainRules, RAW_TABLE, Table, rule};

const DNS: u16 = 53;
const PROXY_ZONE: u16 = 1;
const APPLICATION_ZONE: u16 = 2;

/// Captured TCP queries; they come after the rules that let the proxy's own pass.
pub(super) fn tcp_redirects(config: &CaptureConfig, addresses: Addresses) -> Vec<RuleSpec> {
    redirects(config, addresses, Field::TcpDport)
}

/// The proxy's own UDP queries pass, the application's are captured.
pub(super) fn udp_redirects(config: &CaptureConfig, addresses: Addresses) -> Vec<RuleSpec> {
    let captured = redirects(config, addresses, Field::UdpDport);
    if captured.is_empty() {
        return captured;
    }
    let own = config.proxy.iter().map(|owner| {
        let mut items = vec![Match::eq(Field::UdpDport, DNS).into()];
        items.extend(is(*owner));
        items.push(Verdict::Return.into());
        rule(items)
    });
    own.chain(captured).collect()
}

fn redirects(config: &CaptureConfig, addresses: Addresses, port: Field) -> Vec<RuleSpec> {
    targets(config, addresses, addresses.destination())
        .map(|mut items| {
            items.push(Match::eq(port.clone(), DNS).into());
            items.push(Stmt::Redirect(Some(config.dns_port)).into());
            rule(items)
        })
        .collect()
}

/// The addresses whose queries are captured, each as the beginning of a rule.
fn targets(config: &CaptureConfig, addresses: Addresses, field: Field) -> impl Iterator<Item = Vec<Item>> {
    let servers: Vec<Option<IpAddr>> = match &config.dns {
        DnsCapture::Off => Vec::new(),
        DnsCapture::All => vec![None],
        DnsCapture::Servers(servers) => {
            servers.iter().copied().filter(|server| addresses.has(*server)).map(Some).collect()
        }
    };
    servers.into_iter().map(move |server| match server {
        None => Vec::new(),
        Some(server) => vec![Match::eq(field.clone(), server).into()],
    })
}

/// The conntrack zones; nothing when no query of this family is captured.
pub(super) fn raw_table(config: &CaptureConfig, addresses: Addresses) -> Option<Table> {
    targets(config, addresses, addresses.destination()).next()?;
    let mut output: Vec<RuleSpec> = Vec::new();
    for owner in &config.proxy {
        output.push(zone([Match::eq(Field::UdpDport, DNS).into()].into_iter().chain(is(*owner)), PROXY_ZONE));
        let answer = Match::eq(Field::UdpSport, config.dns_port).into();
        output.push(zone([answer].into_iter().chain(is(*owner)), APPLICATION_ZONE));
    }
    for target in targets(config, addresses, addresses.destination()) {
        output
            .push(zone(target.into_iter().chain([Match::eq(Field::UdpDport, DNS).into()]), APPLICATION_ZONE));
    }
    let prerouting = targets(config, addresses, addresses.source())
        .map(|source| zone(source.into_iter().chain([Match::eq(Field::UdpSport, DNS).into()]), PROXY_ZONE))
        .collect();
    Some(Table {
        family: addresses.family,
        name: RAW_TABLE,
        chains: vec![
            ChainRules {
                name: "OUTPUT",
                base: Some(BaseChain::filter(FilterHook::Output, Priority::Raw)),
                rules: output,
            },
            ChainRules {
                name: "PREROUTING",
                base: Some(BaseChain::filter(FilterHook::Prerouting, Priority::Raw)),
                rules: prerouting,
            },
        ],
    })
}

fn zone(matches: impl Iterator<Item = Item>, zone: u16) -> RuleSpec {
    rule(matches.chain([Stmt::SetCtZone(zone).into(), Verdict::Accept.into()]))
}
