//! What the values of annotations have to look like. Source: Istio's reference of resource annotations, and what its injector refuses.

use std::net::IpAddr;

use sagene_api::istio::mesh_config::ProxyConfig;
use serde_json::Value;

/// Reads a value.
///
/// # Errors
/// What is wrong, in words. Annotations whose values may be anything are fine with everything.
pub(super) fn check(name: &str, value: &str) -> Result<(), String> {
    let short = name.rsplit('/').next().unwrap_or_default();
    match short {
        "interceptionMode" => one_of(value, &["REDIRECT", "TPROXY", "NONE"]),
        "inject" if name == "sidecar.istio.io/inject" => truth(value),
        "rewriteAppHTTPProbers"
        | "nativeSidecar"
        | "merge-metrics"
        | "capNetBindService"
        | "bypass-inbound-capture"
        | "dns-capture" => truth(value),
        "initialDelaySeconds" | "periodSeconds" | "failureThreshold" => number(value).map(|_| ()),
        "port" if name == "status.sidecar.istio.io/port" => port(value),
        "applicationPorts" | "excludeInboundPorts" | "excludeOutboundPorts" | "includeOutboundPorts" => {
            ports(value)
        }
        "includeInboundPorts" if value.trim() == "*" => Ok(()),
        "includeInboundPorts" => ports(value),
        "includeOutboundIPRanges" if value.trim() == "*" => Ok(()),
        "includeOutboundIPRanges" | "excludeOutboundIPRanges" => ranges(value),
        "userVolume" | "userVolumeMount" => json(value),
        "config" if name == "proxy.istio.io/config" => proxy_config(value),
        "service-type" => one_of(value, &["ClusterIP", "NodePort", "LoadBalancer"]),
        "traffic-distribution" => one_of(
            value,
            &["PreferClose", "PreferSameZone", "PreferSameNode", "PreferRegion", "PreferNetwork", "Any"],
        ),
        _ => Ok(()),
    }
}

fn one_of(value: &str, accepted: &[&str]) -> Result<(), String> {
    if accepted.contains(&value) {
        return Ok(());
    }
    Err(format!("{value:?} is not one of {}", accepted.join(", ")))
}

fn truth(value: &str) -> Result<(), String> {
    let accepted = [
        "true", "false", "1", "0", "t", "f", "T", "F", "True", "False", "TRUE", "FALSE", "y", "n", "yes",
        "no", "on", "off",
    ];
    if accepted.contains(&value) { Ok(()) } else { Err(format!("{value:?} is neither true nor false")) }
}

fn number(value: &str) -> Result<u32, String> {
    value.trim().parse().map_err(|_| format!("{value:?} is not a number"))
}

fn port(value: &str) -> Result<(), String> {
    match number(value)? {
        0..=65535 => Ok(()),
        other => Err(format!("{other} is not a port, which is at most 65535")),
    }
}

fn ports(value: &str) -> Result<(), String> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).try_for_each(port)
}

fn ranges(value: &str) -> Result<(), String> {
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    for part in parts {
        let (address, length) =
            part.split_once('/').ok_or_else(|| format!("{part:?} is not a range such as 10.0.0.0/8"))?;
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return Err(format!("{address:?} is not an IP address")),
        };
        if length.parse::<u8>().map_or(true, |length| length > most) {
            return Err(format!("{length:?} is not a length of at most {most}"));
        }
    }
    Ok(())
}

fn json(value: &str) -> Result<(), String> {
    serde_json::from_str::<Value>(value).map(|_| ()).map_err(|error| format!("not valid JSON: {error}"))
}

fn proxy_config(value: &str) -> Result<(), String> {
    let written: Value =
        sagene_api::yaml::value(value).map_err(|error| format!("not valid YAML: {error}"))?;
    if written.is_null() {
        return Ok(());
    }
    sagene_api::object::read_at::<ProxyConfig>(written, "").map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn values_of_each_kind() {
        for (name, good, bad) in [
            ("sidecar.istio.io/interceptionMode", "TPROXY", "tproxy?"),
            ("sidecar.istio.io/inject", "true", "maybe"),
            ("status.sidecar.istio.io/port", "15021", "66000"),
            ("traffic.sidecar.istio.io/excludeInboundPorts", "", "1,,b"),
            ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0/8, 2001:db8::/32", "10.0.0.0"),
            ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "10.0.0.0/8", "10.0.0.0/33"),
            ("sidecar.istio.io/userVolume", "[]", "{"),
            ("proxy.istio.io/config", "concurrency: 2", "concurrency: many"),
            ("proxy.istio.io/config", "holdApplicationUntilProxyStarts: yes", "proxyMetadata: {A: yes}"),
        ] {
            assert_eq!(check(name, good), Ok(()), "{name}");
            assert!(check(name, bad).is_err(), "{name} {bad}");
        }
        assert_eq!(check("sidecar.istio.io/proxyCPU", "anything"), Ok(()));
    }
}
