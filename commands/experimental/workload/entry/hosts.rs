//! `hosts`: under which address the workload finds the control plane.

use std::net::IpAddr;

use super::Installation;
use crate::exit::Failure;
use crate::kubernetes::{Resource, server_failure, text};
use crate::output;

/// A line for `/etc/hosts`; empty, with a warning, where no address is known.
pub(super) async fn lines(
    installation: &Installation,
    given: Option<IpAddr>,
    service: &str,
) -> Result<String, Failure> {
    let found = match given {
        Some(ip) => Some(ip),
        None => address_of(installation, service).await?,
    };
    let host = installation.host();
    Ok(found.map_or_else(
        || {
            output::progress(&format!(
                "Warning: could not auto-detect an address for {host}: Service {service} has none. \
                 Use --ingressIP to name the gateway through which the workload reaches the control plane"
            ));
            String::new()
        },
        |ip| format!("{ip} {host}\n"),
    ))
}

/// Address of the Service's load balancer, or the first of its external ones.
async fn address_of(installation: &Installation, service: &str) -> Result<Option<IpAddr>, Failure> {
    let (name, namespace) = service.split_once('.').unwrap_or((service, &installation.namespace));
    let services = Resource::known("", "v1", "Service", "services", true);
    let found = installation.objects.get(&services, Some(namespace), name).await.map_err(server_failure)?;
    let found = found.unwrap_or_default();
    let places = ["/status/loadBalancer/ingress/0/ip", "/spec/externalIPs/0"];
    Ok(places.iter().find_map(|place| text(&found, place).parse().ok()))
}
