//! The part of squid's configuration that is understood. What would let another request through and is not understood is an error by name.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::http::{Method, Request};
use hyper::body::Incoming;

/// The rules that squid comes with.
pub(super) const DEFAULT: &str = "
acl localnet src 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 169.254.0.0/16 fc00::/7 fe80::/10
acl SSL_ports port 443
acl Safe_ports port 80 21 443 70 210 1025-65535 280 488 591 777
acl CONNECT method CONNECT
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost manager
http_access deny manager
http_access allow localnet
http_access allow localhost
http_access deny all
http_port 3128
";

/// How squid works, caches and logs, which nobody who asks it sees: nothing is cached here.
const WITHOUT_EFFECT: &[&str] = &[
    "access_log",
    "cache",
    "cache_dir",
    "cache_effective_group",
    "cache_effective_user",
    "cache_log",
    "cache_mem",
    "cache_store_log",
    "coredump_dir",
    "debug_options",
    "dns_nameservers",
    "logfile_rotate",
    "maximum_object_size",
    "pid_filename",
    "refresh_pattern",
    "shutdown_lifetime",
    "visible_hostname",
];

/// What somebody asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) client: IpAddr,
    pub(super) method: Method,
    pub(super) host: String,
    pub(super) port: u16,
    /// A page of the cache manager.
    pub(super) manager: bool,
}

impl Asked {
    /// Of a request; none where it names no host: a proxy is asked by `CONNECT host:port` or by whole URLs.
    pub(super) fn of(request: &Request<Incoming>, client: IpAddr) -> Option<Self> {
        let uri = request.uri();
        let manager = uri.path().starts_with("/squid-internal-mgr/");
        let default = match uri.scheme_str() {
            None if request.method() == Method::CONNECT => uri.port_u16()?,
            Some("http") => 80,
            _ => return None,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_lowercase();
        let port = uri.port_u16().unwrap_or(default);
        Some(Self { client, method: request.method().clone(), host, port, manager })
    }
}

/// The configuration.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// `http_port`.
    pub(super) ports: Vec<u16>,
    lists: HashMap<String, Vec<Match>>,
    rules: Vec<Rule>,
}

/// One `http_access`: all its lists have to match.
#[derive(Debug)]
struct Rule {
    allow: bool,
    /// Names, and whether each has to match or must not.
    lists: Vec<(String, bool)>,
}

/// One value of an `acl`.
#[derive(Debug, Clone, PartialEq)]
enum Match {
    All,
    Manager,
    Port(u16, u16),
    Method(Method),
    /// Network and bits.
    Client(IpAddr, u8),
    /// `.example.com` is the domain and all below it.
    Domain(String),
}

impl Config {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut config = Self::default();
        let built_in = [
            ("all", vec![Match::All]),
            ("manager", vec![Match::Manager]),
            (
                "localhost",
                vec![
                    Match::Client(IpAddr::from([127, 0, 0, 0]), 8),
                    Match::Client("::1".parse().map_err(|_| "::1")?, 128),
                ],
            ),
        ];
        config.lists.extend(built_in.map(|(name, values)| (name.to_owned(), values)));
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some((name, arguments)) = words.split_first() else { continue };
            config.directive(name, arguments).map_err(|wrong| format!("line {}: {wrong}", index + 1))?;
        }
        if config.ports.is_empty() {
            return Err("there is no http_port".to_owned());
        }
        Ok(config)
    }

    fn directive(&mut self, name: &str, arguments: &[&str]) -> Result<(), String> {
        match (name, arguments) {
            ("http_port", [port]) => {
                let number = port.rsplit(':').next().and_then(|port| port.parse().ok());
                self.ports.push(number.ok_or(format!("http_port {port}: no port"))?);
                Ok(())
            }
            ("acl", [name, kind, values @ ..]) => {
                let values =
                    values.iter().map(|value| matching(kind, value)).collect::<Result<Vec<_>, _>>()?;
                self.lists.entry((*name).to_owned()).or_default().extend(values);
                Ok(())
            }
            ("http_access", [verdict @ ("allow" | "deny"), lists @ ..]) => {
                let lists = lists.iter().map(|list| self.list(list)).collect::<Result<Vec<_>, _>>()?;
                self.rules.push(Rule { allow: *verdict == "allow", lists });
                Ok(())
            }
            (name, _) if WITHOUT_EFFECT.contains(&name) => Ok(()),
            (name, arguments) => Err(format!("{name} {}: not understood here", arguments.join(" "))),
        }
    }

    fn list(&self, written: &str) -> Result<(String, bool), String> {
        let (name, wanted) = written.strip_prefix('!').map_or((written, true), |name| (name, false));
        if self.lists.contains_key(name) {
            Ok((name.to_owned(), wanted))
        } else {
            Err(format!("ACL not found: {name}"))
        }
    }

    /// The first rule that matches decides; where none does, the opposite of the last one.
    pub(super) fn allows(&self, asked: &Asked) -> bool {
        let holds = |(name, wanted): &(String, bool)| {
            let values = self.lists.get(name).map(Vec::as_slice).unwrap_or_default();
            values.iter().any(|value| value.takes(asked)) == *wanted
        };
        match self.rules.iter().find(|rule| rule.lists.iter().all(holds)) {
            Some(rule) => rule.allow,
            None => self.rules.last().is_some_and(|rule| !rule.allow),
        }
    }
}

impl Match {
    fn takes(&self, asked: &Asked) -> bool {
        match self {
            Self::All => true,
            Self::Manager => asked.manager,
            Self::Port(first, last) => (*first..=*last).contains(&asked.port),
            Self::Method(method) => asked.method == *method,
            Self::Client(network, bits) => is_in(asked.client, *network, *bits),
            Self::Domain(domain) => match domain.strip_prefix('.') {
                Some(parent) => asked.host == parent || asked.host.ends_with(domain),
                None => asked.host == *domain,
            },
        }
    }
}

fn matching(kind: &str, value: &str) -> Result<Match, String> {
    let wrong = || format!("acl of type {kind}: {value:?} cannot be used");
    match kind {
        "port" => {
            let (first, last) = value.split_once('-').unwrap_or((value, value));
            Ok(Match::Port(first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?))
        }
        "method" => Ok(Match::Method(value.parse().map_err(|_| wrong())?)),
        "src" if value == "all" => Ok(Match::All),
        "src" => {
            let (address, bits) = value.split_once('/').map_or((value, None), |(at, bits)| (at, Some(bits)));
            let address: IpAddr = address.parse().map_err(|_| wrong())?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
            if bits > most { Err(wrong()) } else { Ok(Match::Client(address, bits)) }
        }
        "dstdomain" => Ok(Match::Domain(value.to_lowercase())),
        kind => {
            Err(format!("acl of type {kind} is not understood here; port, method, src and dstdomain are"))
        }
    }
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |left: u128, right: u128, width: u8| {
        let shift = u32::from(width - bits);
        left.checked_shr(shift).unwrap_or(0) == right.checked_shr(shift).unwrap_or(0)
    };
    match (address, network) {
        (IpAddr::V4(left), IpAddr::V4(right)) => {
            same(u128::from(u32::from(left)), u128::from(u32::from(right)), 32)
        }
        (IpAddr::V6(left), IpAddr::V6(right)) => same(u128::from(left), u128::from(right), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, host: &str, port: u16) -> Asked {
        Asked { client: IpAddr::from([10, 1, 2, 3]), method, host: host.to_owned(), port, manager: false }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let text = "http_port 3128\nacl SSL_ports port 443\nacl CONNECT method CONNECT # tunnels\n\
                    http_access deny CONNECT !SSL_ports\nhttp_access deny manager\nhttp_access allow all\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.ports, [3128]);
        assert!(config.allows(&asked(Method::CONNECT, "example.com", 443)));
        assert!(!config.allows(&asked(Method::CONNECT, "example.com", 22)));
        assert!(config.allows(&asked(Method::GET, "example.com", 8080)));
        assert!(!config.allows(&Asked { manager: true, ..asked(Method::GET, "localhost", 3128) }));

        let shipped = Config::parse(DEFAULT).unwrap();
        assert!(shipped.allows(&asked(Method::GET, "example.com", 80)));
        let stranger =
            Asked { client: IpAddr::from([203, 0, 113, 1]), ..asked(Method::GET, "example.com", 80) };
        assert!(!shipped.allows(&stranger));
    }

    #[test]
    fn domains_and_no_match_and_no_rule() {
        let config = Config::parse(
            "http_port 3128\nacl sites dstdomain .example.com www.test\nhttp_access allow sites\n",
        )
        .unwrap();
        for (host, expected) in [
            ("example.com", true),
            ("a.example.com", true),
            ("notexample.com", false),
            ("www.test", true),
            ("a.www.test", false),
        ] {
            assert_eq!(config.allows(&asked(Method::GET, host, 80)), expected, "{host}");
        }
        assert!(!Config::parse("http_port 1").unwrap().allows(&asked(Method::GET, "a", 80)));
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let said = |text| Config::parse(text).unwrap_err();
        assert_eq!(said("\nhttp_access allow friends"), "line 2: ACL not found: friends");
        assert!(said("ssl_bump peek all").starts_with("line 1: ssl_bump peek all: not understood"));
        assert!(said("acl a time MTWHF").contains("acl of type time is not understood"));
        assert!(said("acl a src 10.0.0.0/40").contains("cannot be used"));
        assert_eq!(said("http_access allow all"), "there is no http_port");
    }
}
