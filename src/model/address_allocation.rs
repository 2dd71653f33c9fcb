//! Addresses for ServiceEntries that name none: which entries get one, and which.
//!
//! Every host of such an entry has an IPv4 and an IPv6 address of its own, so that a proxy that answers DNS can tell by the address what
//! a connection is for. They stand in `status.addresses`: what is there stays, whoever plans next.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::ServiceEntry;
use sagene_api::istio::networking::service_entry::{Resolution, ServiceEntryAddress};
use thiserror::Error;

use crate::hostname::Hostname;

/// Label by which the owner of an entry refuses addresses: `"false"`.
pub const ALLOCATE_LABEL: &str = "networking.istio.io/enable-autoallocate-ip";

/// True where a ServiceEntry gets addresses: it names none, its endpoints do not follow from the address a client asked for, and nobody
/// refused.
pub fn is_wanted(entry: &Object<ServiceEntry>) -> bool {
    let refused =
        entry.metadata.labels.get(ALLOCATE_LABEL).is_some_and(|value| value.eq_ignore_ascii_case("false"));
    entry.spec.addresses.is_empty() && entry.spec.resolution != Resolution::None && !refused
}

/// True where a host of an entry gets addresses; a wildcard stands for names that nobody knows.
pub fn is_wanted_for(entry: &Object<ServiceEntry>, host: &str) -> bool {
    is_wanted(entry) && !Hostname::new(host).is_wildcard()
}

/// The hosts of an entry that get addresses, each once.
fn hosts(entry: &Object<ServiceEntry>) -> Vec<&str> {
    let mut hosts: Vec<&str> = Vec::new();
    for host in entry.spec.hosts.iter().filter(|host| is_wanted_for(entry, host)) {
        if !hosts.contains(&host.as_str()) {
            hosts.push(host);
        }
    }
    hosts
}

/// A range of addresses, such as `240.240.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    /// The first address, as a number.
    first: u128,
    /// The number of addresses less one.
    last_offset: u128,
    is_ipv6: bool,
}

/// Not a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a range of addresses such as 240.240.0.0/16 or 2001:2::/48")]
pub struct AddressRangeError;

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        let (address, length) = text.split_once('/').ok_or(AddressRangeError)?;
        let address: IpAddr = address.parse().map_err(|_| AddressRangeError)?;
        let length: u32 = length.parse().map_err(|_| AddressRangeError)?;
        let host_bits = family_bits(address.is_ipv6()).checked_sub(length).ok_or(AddressRangeError)?;
        let last_offset = 1_u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        Ok(Self { first: number(address) & !last_offset, last_offset, is_ipv6: address.is_ipv6() })
    }
}

impl AddressRange {
    /// Istio's range of IPv4: no host on the internet has these addresses.
    pub const IPV4: Self = Self { first: (240 << 24) | (240 << 16), last_offset: 0xffff, is_ipv6: false };
    /// Istio's range of IPv6: set apart for measurements of networks.
    pub const IPV6: Self = Self { first: 0x2001_0002 << 96, last_offset: (1 << 80) - 1, is_ipv6: true };

    /// True for ranges of IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.is_ipv6
    }

    /// True where `address` is one of it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.is_ipv6
            && number(address).checked_sub(self.first).is_some_and(|offset| offset <= self.last_offset)
    }

    fn at(&self, offset: u128) -> IpAddr {
        let number = self.first | offset;
        match u32::try_from(number) {
            Ok(number) if !self.is_ipv6 => IpAddr::V4(Ipv4Addr::from_bits(number)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }
}

fn family_bits(is_ipv6: bool) -> u32 {
    if is_ipv6 { 128 } else { 32 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Namespace and name of a ServiceEntry.
pub type EntryName = (String, String);

/// Gives out addresses. It remembers what it gave, so that it may plan again before its plan stands in the statuses.
#[derive(Debug)]
pub struct Allocator {
    families: [Family; 2],
    given: BTreeMap<EntryName, Vec<ServiceEntryAddress>>,
}

/// One family's range, and where to look next: an address that was given back is not given to another at once, for clients may know it.
#[derive(Debug)]
struct Family {
    range: AddressRange,
    next: u128,
}

/// What a plan comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Entries whose `status.addresses` have to become these; none where they have to go.
    pub changes: Vec<(EntryName, Vec<ServiceEntryAddress>)>,
    /// Entries with a host for which the range has no address left.
    pub left_out: Vec<EntryName>,
}

impl Allocator {
    /// Gives out of these ranges.
    pub fn new(ipv4: AddressRange, ipv6: AddressRange) -> Self {
        Self { families: [ipv4, ipv6].map(|range| Family { range, next: 1 }), given: BTreeMap::new() }
    }

    /// The addresses of all entries. Of two that have the same one, the older keeps it; one that an entry names itself is not given out.
    pub fn plan(&mut self, entries: &[Arc<Object<ServiceEntry>>]) -> Plan {
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by_key(|entry| (entry.metadata.creation_timestamp, name_of(entry)));
        let declared = entries.iter().flat_map(|entry| &entry.spec.addresses);
        let mut taken: HashSet<IpAddr> = declared.filter_map(|text| text.parse().ok()).collect();
        let kept: Vec<Kept> = entries.iter().map(|entry| self.keep(entry, &mut taken)).collect();
        let mut plan = Plan::default();
        let mut given = BTreeMap::new();
        for (entry, kept) in entries.into_iter().zip(kept) {
            let wanted: Vec<_> =
                kept.iter().flat_map(|(host, known)| self.complete(host, *known, &mut taken)).collect();
            if wanted.len() < kept.len() * 2 {
                plan.left_out.push(name_of(entry));
            }
            if wanted != status_of(entry) && (!wanted.is_empty() || self.are_ours(entry)) {
                plan.changes.push((name_of(entry), wanted.clone()));
            }
            if !wanted.is_empty() {
                given.insert(name_of(entry), wanted);
            }
        }
        self.given = given;
        plan
    }

    /// What each host of an entry has and may keep: by its status, else by what was given before.
    fn keep(&self, entry: &Object<ServiceEntry>, taken: &mut HashSet<IpAddr>) -> Kept {
        let remembered = self.given.get(&name_of(entry)).into_iter().flatten();
        let known: Vec<_> = status_of(entry).iter().chain(remembered).collect();
        let mut keep_of = |host: &str| {
            self.families.each_ref().map(|family| {
                let own = known.iter().filter(|one| one.host == host);
                let mut addresses = own.filter_map(|one| one.value.parse::<IpAddr>().ok());
                let found = addresses.find(|address| family.range.contains(*address));
                found.filter(|address| taken.insert(*address))
            })
        };
        hosts(entry).into_iter().map(|host| (host.to_owned(), keep_of(host))).collect()
    }

    /// A host's addresses, with new ones for what it lacks.
    fn complete(
        &mut self,
        host: &str,
        known: [Option<IpAddr>; 2],
        taken: &mut HashSet<IpAddr>,
    ) -> Vec<ServiceEntryAddress> {
        let mut found = Vec::new();
        for (family, known) in self.families.iter_mut().zip(known) {
            let address = known.or_else(|| family.take(taken));
            found.extend(
                address
                    .map(|address| ServiceEntryAddress { value: address.to_string(), host: host.to_owned() }),
            );
        }
        found
    }

    /// True where an entry has addresses in its status and all are of these ranges: others were written by somebody else.
    fn are_ours(&self, entry: &Object<ServiceEntry>) -> bool {
        let ours = |text: &str| {
            let address = text.parse().ok();
            address.is_some_and(|address| self.families.iter().any(|one| one.range.contains(address)))
        };
        let known = status_of(entry);
        !known.is_empty() && known.iter().all(|one| ours(&one.value))
    }
}

/// Hosts of an entry with what they keep: IPv4, IPv6.
type Kept = Vec<(String, [Option<IpAddr>; 2])>;

impl Family {
    /// The next address that is free; the first of a range stands for the range itself.
    fn take(&mut self, taken: &mut HashSet<IpAddr>) -> Option<IpAddr> {
        // Among one more than are taken there is a free one, if the range is as large.
        let tries = u128::try_from(taken.len()).unwrap_or(u128::MAX).saturating_add(1);
        for _ in 0..tries.min(self.range.last_offset) {
            let address = self.range.at(self.next);
            self.next = if self.next >= self.range.last_offset { 1 } else { self.next + 1 };
            if taken.insert(address) {
                return Some(address);
            }
        }
        None
    }
}

fn name_of(entry: &Object<ServiceEntry>) -> EntryName {
    (entry.metadata.namespace.clone(), entry.metadata.name.clone())
}

fn status_of(entry: &Object<ServiceEntry>) -> &[ServiceEntryAddress] {
    entry.status.as_ref().map_or(&[], |status| &status.addresses)
}

#[cfg(test)]
mod tests;
