//! `cluster.env`: the environment of the agent beside the workload.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sagene_api::Object;
use sagene_api::istio::networking::WorkloadGroup;
use serde_json::Value;

use super::Installation;
use super::source::service_account;

/// Ports of the agent that are never captured, and that of SSH: a mistake must not lock anybody out.
const EXCLUDED: [u64; 3] = [22, 15090, 15021];
/// The agent's port where nothing else is said.
const STATUS_PORT: u64 = 15020;

/// Where the workload is.
#[derive(Clone, Copy)]
pub(super) enum Address {
    /// The agent finds it.
    Unknown,
    Internal(IpAddr),
    /// As others see it; the workload itself may not have it.
    External(IpAddr),
}

/// `NAME=VALUE` lines: `proxyMetadata` of the proxy configuration, over it what the group says.
pub(super) fn lines(
    group: &Object<WorkloadGroup>,
    proxy_config: &Value,
    installation: &Installation,
    address: Address,
) -> String {
    let mut variables: BTreeMap<&str, String> = BTreeMap::new();
    if let Some(metadata) = proxy_config.get("proxyMetadata").and_then(Value::as_object) {
        variables.extend(
            metadata
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default().to_owned())),
        );
    }
    let (name, namespace) = (&group.metadata.name, &group.metadata.namespace);
    let ports: Vec<String> = group.spec.template.ports.values().map(u32::to_string).collect();
    let status = proxy_config.get("statusPort").and_then(Value::as_u64).filter(|port| *port != 0);
    let mut excluded = EXCLUDED.to_vec();
    excluded.extend(Some(status.unwrap_or(STATUS_PORT)).filter(|port| !EXCLUDED.contains(port)));
    variables.extend([
        ("ISTIO_INBOUND_PORTS", if ports.is_empty() { "*".to_owned() } else { ports.join(",") }),
        ("ISTIO_NAMESPACE", namespace.clone()),
        ("ISTIO_SERVICE", format!("{name}.{namespace}")),
        ("ISTIO_SERVICE_CIDR", "*".to_owned()),
        ("ISTIO_LOCAL_EXCLUDE_PORTS", excluded.iter().map(u64::to_string).collect::<Vec<_>>().join(",")),
        ("SERVICE_ACCOUNT", service_account(group).to_owned()),
    ]);
    if !installation.revision.is_empty() {
        variables.insert("CA_ADDR", format!("{}:15012", installation.host()));
    }
    match address {
        Address::Unknown => {}
        Address::Internal(ip) => {
            variables.insert("ISTIO_SVC_IP", ip.to_string());
        }
        Address::External(ip) => {
            variables.insert("ISTIO_SVC_IP", ip.to_string());
            variables.insert("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "true".to_owned());
        }
    }
    variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect()
}

/// As a shell reads it back.
fn quoted(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@%_-+=:,./".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r#"'"'"'"#))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_a_shell() {
        for (value, expected) in
            [("22,15090", "22,15090"), ("*", "'*'"), ("", "''"), ("a b", "'a b'"), ("it's", r#"'it'"'"'s'"#)]
        {
            assert_eq!(quoted(value), expected);
        }
    }
}
