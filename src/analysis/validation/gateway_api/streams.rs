//! TCPRoute, TLSRoute and UDPRoute.

use super::references::{hostname, route, section_name, weighted_backend};
use super::schema::{Schema, list, object};

/// `spec` of a TCPRoute and of a UDPRoute. Before `v1` there could be more rules than one.
pub(super) fn plain(is_stable: bool) -> Schema {
    route().and(&[("rules!", rules(is_stable))])
}

/// `spec` of a TLSRoute. Before `v1` hosts could be left out.
pub(super) fn tls(is_stable: bool) -> Schema {
    let hosts = list(hostname(), u64::from(is_stable)..=1024).rule(
        "self.all(host, !isIP(host))",
        "hosts are told by name: clients do not send addresses when they greet",
    );
    let name = if is_stable { "hostnames!" } else { "hostnames" };
    plain(is_stable).and(&[(name, hosts)])
}

fn rules(is_stable: bool) -> Schema {
    let rule = object(&[("backendRefs!", list(weighted_backend(), 1..=16)), ("name", section_name())]);
    list(rule, 1..=if is_stable { 1 } else { 16 })
}
