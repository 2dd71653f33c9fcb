//! What the control plane is told by flags and environment; names of environment variables are istiod's where those exist.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sagene_base::logging::LogHandle;
use sagene_identity::authority::Lifetimes;
use sagene_model::address_allocation::AddressRange;
use thiserror::Error;

/// Settings of one control plane.
#[derive(Debug, Clone)]
pub struct ControlPlaneOptions {
    /// DNS domain of the cluster (`--domain`). Default `cluster.local`.
    pub domain: String,
    /// Namespace the control plane runs in (`POD_NAMESPACE`). Default `istio-system`.
    pub namespace: String,
    /// Name of this replica (`POD_NAME`). Default the host name, else `istiod`.
    pub pod_name: String,
    /// Revision (`REVISION`). Default `default`.
    pub revision: String,
    /// Id of this cluster (`CLUSTER_ID`). Default `Kubernetes`.
    pub cluster_id: String,
    /// Version of the product, for `/version` and the identifier.
    pub version: String,
    /// Address to listen on. Default every one.
    pub address: IpAddr,
    /// Ports.
    pub ports: Ports,
    /// Longest quiet time after a change before it is pushed when changes come in a row (`PILOT_DEBOUNCE_AFTER`): less where a push costs
    /// little. Default 100 ms.
    pub debounce_after: Duration,
    /// Longest delay of a change (`PILOT_DEBOUNCE_MAX`), less as the quiet time is less. Default 10 s.
    pub debounce_max: Duration,
    /// Time between fetches of an issuer's public keys: as long as a rotated key may go unnoticed.
    pub jwks_refresh: Duration,
    /// Networks that keys of token issuers are not fetched from: link-local ones, where clouds keep their metadata, and those of
    /// `BLOCKED_CIDRS_IN_JWKS_URIS`.
    pub jwks_closed_networks: Vec<Network>,
    /// Lifetimes of workload certificates (`DEFAULT_WORKLOAD_CERT_TTL`, `MAX_WORKLOAD_CERT_TTL`).
    pub lifetimes: Lifetimes,
    /// Life of a self-signed root (`CITADEL_SELF_SIGNED_CA_CERT_TTL`). Default 10 years.
    pub root_lifetime: Duration,
    /// How long the roots of another authority are trusted before it signs. Default 10 s.
    pub announcement: Duration,
    /// Audiences of accepted service-account tokens (`TOKEN_AUDIENCES`). Default `istio-ca`.
    pub token_audiences: Vec<String>,
    /// Whether debug views over the network need an identity (`ENABLE_DEBUG_ENDPOINT_AUTH`). Default true.
    pub debug_endpoint_auth: bool,
    /// Further namespaces whose identities see every debug view (`DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES`).
    pub debug_namespaces: Vec<String>,
    /// Ranges of which ServiceEntries without addresses get some (`PILOT_IP_AUTOALLOCATE_IPV4_PREFIX`, `…_IPV6_PREFIX`); `None` where they
    /// get none (`PILOT_ENABLE_IP_AUTOALLOCATE=false`).
    pub address_allocation: Option<AllocationRanges>,
    /// Where log scopes are read and set; nowhere by default.
    pub scopes: Option<ScopesPort>,
    /// Time that streams get to end after a stop signal.
    pub drain: Duration,
}

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    length: u32,
}

impl Network {
    /// What is reached on the own link alone: metadata services of clouds among it.
    pub const LINK_LOCAL: [Self; 3] = [
        Self { first: IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), length: 16 },
        Self { first: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), length: 10 },
        // AWS's metadata service.
        Self { first: IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), length: 128 },
    ];

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differs = first.to_bits() ^ address.to_bits();
                differs.checked_shr(32 - self.length).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differs = first.to_bits() ^ address.to_bits();
                differs.checked_shr(128 - self.length).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    /// `10.0.0.0/8`, or an address alone.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let first: IpAddr = address.trim().parse().map_err(drop)?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), |length| length.trim().parse().map_err(drop))?;
        if length > most { Err(()) } else { Ok(Self { first, length }) }
    }
}

/// Variable with further networks that keys are not fetched from.
const BLOCKED: &str = "BLOCKED_CIDRS_IN_JWKS_URIS";

/// Ranges of addresses for ServiceEntries that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocationRanges {
    /// Default `240.240.0.0/16`.
    pub ipv4: AddressRange,
    /// Default `2001:2::/48`.
    pub ipv6: AddressRange,
}

impl Default for AllocationRanges {
    fn default() -> Self {
        Self { ipv4: AddressRange::IPV4, ipv6: AddressRange::IPV6 }
    }
}

/// ControlZ: log scopes over HTTP, on the loopback address alone.
#[derive(Debug, Clone)]
pub struct ScopesPort {
    /// The port (`--ctrlz_port`). istiod's is 9876.
    pub port: u16,
    /// The log of this process.
    pub log: Arc<LogHandle>,
}

/// Ports the control plane listens on; 0 picks a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Readiness and debug views for this host, plain HTTP. Default 8080.
    pub http: u16,
    /// Discovery and certificates without TLS. Default 15010.
    pub grpc: u16,
    /// Discovery and certificates over TLS. Default 15012.
    pub secure_grpc: u16,
    /// Metrics, version, debug views with authentication. Default 15014.
    pub monitoring: u16,
    /// Webhooks over TLS. Default 15017.
    pub webhook: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { http: 8080, grpc: 15010, secure_grpc: 15012, monitoring: 15014, webhook: 15017 }
    }
}

impl Default for ControlPlaneOptions {
    fn default() -> Self {
        Self {
            domain: "cluster.local".to_owned(),
            namespace: "istio-system".to_owned(),
            pod_name: "istiod".to_owned(),
            revision: "default".to_owned(),
            cluster_id: "Kubernetes".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: IpAddr::from([0, 0, 0, 0]),
            ports: Ports::default(),
            debounce_after: Duration::from_millis(100),
            debounce_max: Duration::from_secs(10),
            jwks_refresh: Duration::from_secs(20),
            jwks_closed_networks: Network::LINK_LOCAL.to_vec(),
            lifetimes: Lifetimes::default(),
            root_lifetime: sagene_identity::authority::ROOT_TTL,
            announcement: Duration::from_secs(10),
            token_audiences: vec!["istio-ca".to_owned()],
            debug_endpoint_auth: true,
            debug_namespaces: Vec::new(),
            address_allocation: Some(AllocationRanges::default()),
            scopes: None,
            drain: Duration::from_secs(5),
        }
    }
}

/// A value that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{variable}={value:?}: {problem}")]
pub struct OptionError {
    /// The environment variable.
    pub variable: &'static str,
    /// Its value.
    pub value: String,
    /// What is wrong and what is accepted.
    pub problem: &'static str,
}

impl ControlPlaneOptions {
    /// Defaults overridden by the environment, given as a look-up.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, OptionError> {
        let get = |name: &'static str| variable(name).filter(|value| !value.is_empty());
        let mut options = Self::default();
        for (name, field) in [
            ("POD_NAMESPACE", &mut options.namespace),
            ("POD_NAME", &mut options.pod_name),
            ("REVISION", &mut options.revision),
            ("CLUSTER_ID", &mut options.cluster_id),
        ] {
            if let Some(value) = get(name) {
                *field = value;
            }
        }
        for (name, field) in [
            ("PILOT_DEBOUNCE_AFTER", &mut options.debounce_after),
            ("PILOT_DEBOUNCE_MAX", &mut options.debounce_max),
            ("PILOT_JWT_PUB_KEY_REFRESH_INTERVAL", &mut options.jwks_refresh),
            ("DEFAULT_WORKLOAD_CERT_TTL", &mut options.lifetimes.default),
            ("MAX_WORKLOAD_CERT_TTL", &mut options.lifetimes.max),
            ("CITADEL_SELF_SIGNED_CA_CERT_TTL", &mut options.root_lifetime),
        ] {
            if let Some(value) = get(name) {
                *field = duration(name, value)?;
            }
        }
        if let Some(value) = get(BLOCKED) {
            let networks = list(&value).into_iter().map(|text| text.parse());
            let networks: Result<Vec<Network>, ()> = networks.collect();
            let problem = "use networks by comma, such as 10.0.0.0/8,fd00::/8";
            let error = |()| OptionError { variable: BLOCKED, value, problem };
            options.jwks_closed_networks.extend(networks.map_err(error)?);
        }
        if let Some(value) = get("TOKEN_AUDIENCES") {
            options.token_audiences = list(&value);
        }
        if let Some(value) = get("DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES") {
            options.debug_namespaces = list(&value);
        }
        if let Some(value) = get("ENABLE_DEBUG_ENDPOINT_AUTH") {
            options.debug_endpoint_auth = switch("ENABLE_DEBUG_ENDPOINT_AUTH", value)?;
        }
        options.address_allocation = address_allocation(get)?;
        Ok(options)
    }

    /// `-<revision>`, or nothing for the default one: what names of objects of a revision end in.
    pub fn revision_suffix(&self) -> String {
        match self.revision.as_str() {
            "" | "default" => String::new(),
            revision => format!("-{revision}"),
        }
    }

    /// DNS names the control plane's own certificate is good for.
    pub fn dns_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let services =
            ["istiod".to_owned(), format!("istiod{}", self.revision_suffix()), "istio-pilot".to_owned()];
        for service in services {
            for name in [
                format!("{service}.{}.svc", self.namespace),
                format!("{service}.{}.svc.{}", self.namespace, self.domain),
                format!("{service}.{}", self.namespace),
            ] {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}

fn address_allocation(
    get: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<AllocationRanges>, OptionError> {
    const ENABLED: &str = "PILOT_ENABLE_IP_AUTOALLOCATE";
    let range = |variable, default: AddressRange, problem| match get(variable) {
        None => Ok(default),
        Some(value) => {
            let parsed =
                value.parse().ok().filter(|range: &AddressRange| range.is_ipv6() == default.is_ipv6());
            parsed.ok_or(OptionError { variable, value, problem })
        }
    };
    let defaults = AllocationRanges::default();
    let ranges = AllocationRanges {
        ipv4: range(
            "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX",
            defaults.ipv4,
            "use a range of IPv4 addresses such as 240.240.0.0/16",
        )?,
        ipv6: range(
            "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX",
            defaults.ipv6,
            "use a range of IPv6 addresses such as 2001:2::/48",
        )?,
    };
    let enabled = get(ENABLED).map_or(Ok(true), |value| switch(ENABLED, value))?;
    Ok(enabled.then_some(ranges))
}

fn switch(variable: &'static str, value: String) -> Result<bool, OptionError> {
    match value.as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(OptionError { variable, value, problem: "use true or false" }),
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// Go's notation, as istiod's variables have it: `24h`, `100ms`, `1h30m`.
fn duration(variable: &'static str, value: String) -> Result<Duration, OptionError> {
    go_duration(&value).ok_or(OptionError {
        variable,
        value,
        problem: "use a duration such as 100ms, 10s, 24h or 1h30m",
    })
}

fn go_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let seconds = match &rest[..unit] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "us" => 0.000_001,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number * seconds).ok()?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_istiods_variables_and_names_what_is_wrong() {
        let read = |pairs: &'static [(&str, &str)]| {
            ControlPlaneOptions::from_environment(|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let options = read(&[("PILOT_DEBOUNCE_AFTER", "1m30s"), ("REVISION", "canary")]).unwrap();
        assert_eq!(options.debounce_after, Duration::from_secs(90));
        assert!(options.dns_names().contains(&"istiod-canary.istio-system.svc".to_owned()));
        assert!(options.address_allocation.is_some());
        let off = read(&[("PILOT_ENABLE_IP_AUTOALLOCATE", "false")]).unwrap();
        assert!(off.address_allocation.is_none());
        let error = read(&[("PILOT_IP_AUTOALLOCATE_IPV6_PREFIX", "240.0.0.0/8")]).unwrap_err();
        assert_eq!(error.variable, "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX");
        let closed = read(&[("BLOCKED_CIDRS_IN_JWKS_URIS", "10.0.0.0/8, 192.0.2.7,::/0")]).unwrap();
        let is_closed = |address: &str| {
            let address = address.parse().unwrap();
            closed.jwks_closed_networks.iter().any(|network| network.contains(address))
        };
        assert!(["169.254.169.254", "10.255.0.1", "192.0.2.7", "2001:db8::1"].map(is_closed) == [true; 4]);
        assert!(["11.0.0.1", "192.0.2.8"].map(is_closed) == [false; 2]);
        let error = read(&[("BLOCKED_CIDRS_IN_JWKS_URIS", "10.0.0.0/33")]).unwrap_err();
        assert_eq!(error.variable, "BLOCKED_CIDRS_IN_JWKS_URIS");
        let error = read(&[("MAX_WORKLOAD_CERT_TTL", "90 days")]).unwrap_err();
        assert_eq!((error.variable, error.value.as_str()), ("MAX_WORKLOAD_CERT_TTL", "90 days"));
    }
}
