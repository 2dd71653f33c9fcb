//! Which cluster IPs are taken, and by which Service.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::families::{V6, family, is_headless, texts};
use super::internal;
use crate::apiserver::error::Cause;
use crate::apiserver::object_meta;
use crate::network::{SERVICE_NETWORK, SERVICE_NETWORK_V6};

/// Addresses in the range of either family: 10.96.0.0/16, fd00:10:96::/112.
const RANGE_SIZE: u32 = 1 << 16;
/// Addresses below this offset (10.96.0.10 of the cluster DNS among them) are only given out on request, as in Kubernetes.
const DYNAMIC_OFFSET: u32 = 256;

/// The addresses in use, with the Services (`namespace/name`) that have them.
#[derive(Default)]
pub(super) struct Addresses {
    owners: HashMap<IpAddr, String>,
}

impl Addresses {
    /// Notes what a stored Service has.
    pub(super) fn remember(&mut self, spec: &Value, owner: &str) {
        for address in texts(spec, "clusterIPs").into_iter().filter_map(|text| text.parse().ok()) {
            self.owners.insert(address, owner.to_owned());
        }
    }

    /// Forgets what a Service had.
    pub(super) fn forget(&mut self, owner: &str) {
        self.owners.retain(|_, holder| holder != owner);
    }

    /// Gives a Service, whose families are settled, the addresses it names and those that are missing.
    pub(super) fn allocate(&mut self, spec: &mut Value, owner: &str) -> Result<(), Cause> {
        if spec["type"] == "ExternalName" {
            return Ok(());
        }
        if is_headless(spec) {
            spec["clusterIPs"] = json!(["None"]);
            return Ok(());
        }
        let families: Vec<String> = texts(spec, "ipFamilies").into_iter().map(str::to_owned).collect();
        let mut addresses: Vec<String> = texts(spec, "clusterIPs").into_iter().map(str::to_owned).collect();
        addresses.resize(families.len().max(addresses.len()), String::new());
        let wanted = json!(addresses);
        for (address, family) in addresses.iter_mut().zip(&families) {
            if address.is_empty() {
                let free = self
                    .free(family)
                    .ok_or_else(|| internal("spec.clusterIPs", "the service range is full"))?;
                self.owners.insert(free, owner.to_owned());
                *address = free.to_string();
            } else {
                self.take(address, owner)
                    .map_err(|detail| Cause::invalid("spec.clusterIPs", &wanted, &detail))?;
            }
        }
        spec["clusterIP"] = json!(addresses.first());
        spec["clusterIPs"] = json!(addresses);
        Ok(())
    }

    fn take(&mut self, text: &str, owner: &str) -> Result<(), String> {
        let refused = |why: &str| format!("failed to allocate IP {text}: {why}");
        let address: IpAddr = text.parse().map_err(|_| refused("it is no IP address"))?;
        if !is_in_range(address) {
            return Err(refused("the provided network does not match the current range"));
        }
        if self.owners.get(&address).is_some_and(|holder| holder != owner) {
            return Err(refused("provided IP is already allocated"));
        }
        self.owners.insert(address, owner.to_owned());
        Ok(())
    }

    fn free(&self, family: &str) -> Option<IpAddr> {
        let span = RANGE_SIZE - 1 - DYNAMIC_OFFSET;
        let start = u32::from_be_bytes(object_meta::random()) % span;
        (0..span)
            .map(|step| numbered(family, DYNAMIC_OFFSET + (start + step) % span))
            .find(|address| !self.owners.contains_key(address))
    }
}

/// The address with this number in the range of its family.
fn numbered(family: &str, number: u32) -> IpAddr {
    if family == V6 {
        return IpAddr::V6(Ipv6Addr::from(u128::from(SERVICE_NETWORK_V6.0) + u128::from(number)));
    }
    IpAddr::V4(Ipv4Addr::from(u32::from(SERVICE_NETWORK.0) + number))
}

/// First and last of a range stand for the network and for all of it.
fn is_in_range(address: IpAddr) -> bool {
    let name = family(address);
    let (first, last) = (numbered(name, 1), numbered(name, RANGE_SIZE - 2));
    (first..=last).contains(&address)
}
