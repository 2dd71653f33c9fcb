//! The flags of `sagene proxy init`, which are those of `istio-iptables`, and what they mean.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{CaptureError, Cidr, PROXY_MARK, TPROXY_MARK};
use crate::dns::ResolvConf;

/// Flags of `sagene proxy init`: names, short forms and defaults of `istio-iptables`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_override_self = true)]
pub struct InitArguments {
    /// Port that takes captured outbound connections
    #[arg(short = 'p', long = "envoy-port", env = "ENVOY_PORT", default_value_t = 15001)]
    pub envoy_port: u16,
    /// Port that takes captured inbound connections
    #[arg(short = 'z', long = "inbound-capture-port", env = "INBOUND_CAPTURE_PORT", default_value_t = 15006)]
    pub inbound_capture_port: u16,
    /// Port of inbound tunnels (HBONE), never captured
    #[arg(long = "inbound-tunnel-port", env = "INBOUND_TUNNEL_PORT", default_value_t = 15008)]
    pub inbound_tunnel_port: u16,
    /// User ids whose traffic is not captured (comma separated)
    #[arg(short = 'u', long = "proxy-uid", env = "PROXY_UID", default_value = "1337")]
    pub proxy_uid: String,
    /// Group ids whose traffic is not captured (comma separated); the user ids when not given
    #[arg(short = 'g', long = "proxy-gid", env = "PROXY_GID", default_value = "")]
    pub proxy_gid: String,
    /// How inbound connections are captured: REDIRECT, or TPROXY, which lets the application see its callers' addresses
    #[arg(
        short = 'm',
        long = "istio-inbound-interception-mode",
        env = "ISTIO_INBOUND_INTERCEPTION_MODE",
        default_value = "REDIRECT"
    )]
    pub interception_mode: String,
    /// Mark of connections that the proxy makes in a caller's name (TPROXY)
    #[arg(short = 't', long = "istio-inbound-tproxy-mark", env = "INBOUND_TPROXY_MARK", default_value_t = TPROXY_MARK, value_parser = clap::value_parser!(u32).range(1..))]
    pub tproxy_mark: u32,
    /// Route table that keeps those connections inside the pod (TPROXY)
    #[arg(short = 'r', long = "istio-inbound-tproxy-route-table", env = "INBOUND_TPROXY_ROUTE_TABLE", default_value_t = 133, value_parser = clap::value_parser!(u32).range(1..))]
    pub tproxy_route_table: u32,
    /// Inbound ports to capture: a list, "*" for all, "" for none
    #[arg(short = 'b', long = "istio-inbound-ports", env = "ISTIO_INBOUND_PORTS", default_value = "")]
    pub inbound_ports: String,
    /// Inbound ports not to capture (with -b "*")
    #[arg(
        short = 'd',
        long = "istio-local-exclude-ports",
        env = "ISTIO_LOCAL_EXCLUDE_PORTS",
        default_value = ""
    )]
    pub exclude_inbound_ports: String,
    /// Outbound address ranges to capture: a list, "*" for all, "" for none
    #[arg(short = 'i', long = "istio-service-cidr", env = "ISTIO_SERVICE_CIDR", default_value = "")]
    pub outbound_ranges: String,
    /// Outbound address ranges not to capture
    #[arg(
        short = 'x',
        long = "istio-service-exclude-cidr",
        env = "ISTIO_SERVICE_EXCLUDE_CIDR",
        default_value = ""
    )]
    pub exclude_outbound_ranges: String,
    /// Outbound ports to capture whatever the address
    #[arg(short = 'q', long = "istio-outbound-ports", env = "ISTIO_OUTBOUND_PORTS", default_value = "")]
    pub outbound_ports: String,
    /// Outbound ports not to capture
    #[arg(
        short = 'o',
        long = "istio-local-outbound-ports-exclude",
        env = "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE",
        default_value = ""
    )]
    pub exclude_outbound_ports: String,
    /// Interfaces of virtual machines inside the pod, whose inbound traffic counts as outbound
    #[arg(short = 'k', long = "kube-virt-interfaces", env = "KUBE_VIRT_INTERFACES", default_value = "")]
    pub virtual_interfaces: String,
    /// Interfaces whose traffic is not captured
    #[arg(
        short = 'c',
        long = "istio-exclude-interfaces",
        env = "ISTIO_EXCLUDE_INTERFACES",
        default_value = ""
    )]
    pub exclude_interfaces: String,
    /// Group ids whose outbound traffic is captured: a list, or "*" for all
    #[arg(long = "outbound-owner-groups", env = "ISTIO_OUTBOUND_OWNER_GROUPS", default_value = "*")]
    pub owner_groups: String,
    /// Group ids whose outbound traffic is not captured
    #[arg(
        long = "outbound-owner-groups-exclude",
        env = "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE",
        default_value = ""
    )]
    pub exclude_owner_groups: String,
    /// Send DNS queries to the proxy
    #[arg(long = "redirect-dns", env = "ISTIO_META_DNS_CAPTURE", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub redirect_dns: bool,
    /// Send every DNS query to the proxy, not only those to the servers of /etc/resolv.conf
    #[arg(long = "capture-all-dns", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub capture_all_dns: bool,
    /// Capture IPv4 and IPv6, instead of the family of the pod's first address alone
    #[arg(long = "dual-stack", env = "ISTIO_DUAL_STACK", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub dual_stack: bool,
    /// Drop packets that belong to no known connection
    #[arg(long = "drop-invalid", env = "INVALID_DROP", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub drop_invalid: bool,
    /// Do not write rules
    #[arg(long = "skip-rule-apply", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub skip_rule_apply: bool,
    /// Make a connection and check that it is redirected
    #[arg(long = "run-validation", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub run_validation: bool,
    /// How long the check may take
    #[arg(long = "probe-timeout", default_value = "5s", value_parser = parse_duration)]
    pub probe_timeout: Duration,
    /// Remove the rules and write none
    #[arg(long = "cleanup-only", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub cleanup_only: bool,
    /// Print the rules in nft's language and change nothing
    #[arg(short = 'n', long = "dry-run", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub dry_run: bool,
    /// Levels of the log, as in Istio: `default:info` or `info`
    #[arg(long = "log_output_level", default_value = "default:info")]
    pub log_output_level: String,
    /// Write the log as JSON
    #[arg(long = "log_as_json", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub log_as_json: bool,
}

/// Reads Go's notation of one duration: `5s`, `500ms`, `1m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || "expected a duration such as 5s or 500ms".to_owned();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(error)?;
    let number: f64 = text[..split].parse().map_err(|_| error())?;
    let unit = match &text[split..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(error()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| error())
}

/// Which ports a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ports {
    /// Every port (`*`).
    All,
    /// These; none when empty.
    Listed(Vec<u16>),
}

/// Which addresses a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ranges {
    /// Every address (`*`).
    All,
    /// These; none when empty.
    Listed(Vec<Cidr>),
}

/// Who sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Sockets with this `SO_MARK`.
    Mark(u32),
    /// Sockets of this user.
    User(u32),
    /// Sockets of this group.
    Group(u32),
}

/// Which DNS servers' queries are captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DnsCapture {
    /// None.
    Off,
    /// Those sent to these servers.
    Servers(Vec<IpAddr>),
    /// All.
    All,
}

/// What interception mode `TPROXY` needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tproxy {
    /// `SO_MARK` of connections in a caller's name.
    pub(super) mark: u32,
    /// Table that such packets are routed by.
    pub(super) route_table: u32,
}

/// The flags, understood.
#[derive(Debug, Clone)]
pub(super) struct CaptureConfig {
    pub(super) outbound_port: u16,
    pub(super) inbound_port: u16,
    pub(super) tunnel_port: u16,
    /// Inbound connections keep their addresses; `None` = they are redirected.
    pub(super) tproxy: Option<Tproxy>,
    /// The routes of that mode, which a clean-up removes whatever the mode.
    pub(super) tproxy_routes: Tproxy,
    /// Senders that are the proxy itself, in the order of the rules: mark first.
    pub(super) proxy: Vec<Owner>,
    pub(super) inbound_ports: Ports,
    pub(super) exclude_inbound_ports: Vec<u16>,
    pub(super) outbound_ranges: Ranges,
    pub(super) exclude_outbound_ranges: Vec<Cidr>,
    pub(super) outbound_ports: Vec<u16>,
    pub(super) exclude_outbound_ports: Vec<u16>,
    pub(super) virtual_interfaces: Vec<String>,
    pub(super) exclude_interfaces: Vec<String>,
    /// Groups whose traffic is captured; `None` = all.
    pub(super) owner_groups: Option<Vec<u32>>,
    pub(super) exclude_owner_groups: Vec<u32>,
    pub(super) dns: DnsCapture,
    pub(super) dns_port: u16,
    pub(super) drop_invalid: bool,
    /// Both families are captured; else IPv4, or IPv6 where the pod has nothing else.
    pub(super) dual_stack: bool,
}

/// Port of the proxy's DNS server.
const DNS_PORT: u16 = 15053;

impl CaptureConfig {
    /// Understands the flags.
    pub(super) fn resolve(arguments: &InitArguments) -> Result<Self, CaptureError> {
        let tproxy_routes = tproxy_routes(arguments)?;
        let users = numbers("proxy-uid", &arguments.proxy_uid)?;
        let groups = match arguments.proxy_gid.trim() {
            "" => users.clone(),
            text => numbers("proxy-gid", text)?,
        };
        let mut proxy = vec![Owner::Mark(PROXY_MARK)];
        proxy.extend(users.into_iter().map(Owner::User));
        proxy.extend(groups.into_iter().map(Owner::Group));
        Ok(Self {
            outbound_port: arguments.envoy_port,
            inbound_port: arguments.inbound_capture_port,
            tunnel_port: arguments.inbound_tunnel_port,
            tproxy: is_transparent(arguments)?.then_some(tproxy_routes),
            tproxy_routes,
            proxy,
            inbound_ports: ports_or_all("istio-inbound-ports", &arguments.inbound_ports)?,
            exclude_inbound_ports: list("istio-local-exclude-ports", &arguments.exclude_inbound_ports)?,
            outbound_ranges: match arguments.outbound_ranges.trim() {
                "*" => Ranges::All,
                text => Ranges::Listed(list("istio-service-cidr", text)?),
            },
            exclude_outbound_ranges: list("istio-service-exclude-cidr", &arguments.exclude_outbound_ranges)?,
            outbound_ports: list("istio-outbound-ports", &arguments.outbound_ports)?,
            exclude_outbound_ports: list(
                "istio-local-outbound-ports-exclude",
                &arguments.exclude_outbound_ports,
            )?,
            virtual_interfaces: interfaces("kube-virt-interfaces", &arguments.virtual_interfaces)?,
            exclude_interfaces: interfaces("istio-exclude-interfaces", &arguments.exclude_interfaces)?,
            owner_groups: match arguments.owner_groups.trim() {
                "*" => None,
                text => Some(numbers("outbound-owner-groups", text)?),
            },
            exclude_owner_groups: numbers("outbound-owner-groups-exclude", &arguments.exclude_owner_groups)?,
            dns: dns_capture(arguments)?,
            dns_port: DNS_PORT,
            drop_invalid: arguments.drop_invalid,
            dual_stack: arguments.dual_stack,
        })
    }
}

fn is_transparent(arguments: &InitArguments) -> Result<bool, CaptureError> {
    match arguments.interception_mode.as_str() {
        "REDIRECT" => Ok(false),
        "TPROXY" => Ok(true),
        mode => Err(flag("istio-inbound-interception-mode", mode, "expected REDIRECT or TPROXY")),
    }
}

fn tproxy_routes(arguments: &InitArguments) -> Result<Tproxy, CaptureError> {
    let (mark, route_table) = (arguments.tproxy_mark, arguments.tproxy_route_table);
    if mark == PROXY_MARK {
        let reason = format!("{PROXY_MARK} marks the proxy's own connections; use another number");
        return Err(flag("istio-inbound-tproxy-mark", &mark.to_string(), reason));
    }
    Ok(Tproxy { mark, route_table })
}

fn dns_capture(arguments: &InitArguments) -> Result<DnsCapture, CaptureError> {
    if !arguments.redirect_dns {
        return Ok(DnsCapture::Off);
    }
    if arguments.capture_all_dns {
        return Ok(DnsCapture::All);
    }
    let path = PathBuf::from("/etc/resolv.conf");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(DnsCapture::Servers(ResolvConf::parse(&text).servers)),
        Err(source) => Err(CaptureError::ResolvConf { path, source }),
    }
}

fn flag(flag: &'static str, value: &str, reason: impl Into<String>) -> CaptureError {
    CaptureError::Flag { flag, value: value.to_owned(), reason: reason.into() }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn list<T>(name: &'static str, text: &str) -> Result<Vec<T>, CaptureError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    parts(text)
        .map(|part| part.parse().map_err(|error: T::Err| flag(name, part, error.to_string())))
        .collect()
}

fn numbers(name: &'static str, text: &str) -> Result<Vec<u32>, CaptureError> {
    parts(text).map(|part| part.parse().map_err(|_| flag(name, part, "expected a numeric id"))).collect()
}

fn ports_or_all(name: &'static str, text: &str) -> Result<Ports, CaptureError> {
    match text.trim() {
        "*" => Ok(Ports::All),
        text => Ok(Ports::Listed(list(name, text)?)),
    }
}

/// Longest interface name the kernel knows.
const INTERFACE_NAME_BYTES: usize = 15;

fn interfaces(name: &'static str, text: &str) -> Result<Vec<String>, CaptureError> {
    parts(text)
        .map(|part| match part.len() <= INTERFACE_NAME_BYTES {
            true => Ok(part.to_owned()),
            false => Err(flag(name, part, "interface names have at most 15 bytes")),
        })
        .collect()
}
