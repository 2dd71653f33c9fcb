//! Writes the rules to the kernel over netlink, one transaction for each address family.

use std::path::Path;

use nlink::netlink::nftables::{Chain, Family, Rule};
use nlink::{Connection, Ipv6Address, Nftables, Route};

use super::arguments::CaptureConfig;
use super::rules::{self, INBOUND_SOURCE_V6, MANGLE_TABLE, NAT_TABLE, RAW_TABLE, Table};
use super::{CaptureError, tproxy_routes};

const OWN_TABLES: [&str; 3] = [NAT_TABLE, RAW_TABLE, MANGLE_TABLE];

/// The families whose connections are captured: IPv4, and IPv6 where that is asked for or the pod has nothing else.
pub(super) fn families(config: &CaptureConfig) -> &'static [Family] {
    if config.dual_stack || (pod_has_ipv6() && !pod_has_ipv4()) {
        &[Family::Ip, Family::Ip6]
    } else {
        &[Family::Ip]
    }
}

/// Replaces our tables and routes by those of `config`, whatever an earlier run left. IPv6 is left out where the
/// kernel has none.
pub(super) fn replace(config: &CaptureConfig) -> Result<(), CaptureError> {
    let families = families(config);
    let tables = rules::tables(config, families);
    on_runtime(async {
        for family in families.iter().copied() {
            if family == Family::Ip6 && !kernel_has_ipv6() {
                tracing::info!("the kernel has no IPv6; only IPv4 is captured");
                continue;
            }
            let wanted: Vec<&Table> = tables.iter().filter(|table| table.family == family).collect();
            match write_family(config, family, &wanted).await {
                Ok(()) => {}
                Err(error) if family == Family::Ip6 && !error.is_permission_denied() && !pod_has_ipv6() => {
                    tracing::warn!(%error, "IPv6 is not captured: the kernel lacks a part of nf_tables for it; the pod has no IPv6 address");
                }
                Err(error) => return Err(classify(config, family, error)),
            }
        }
        Ok(())
    })
}

/// Removes our tables and routes; their absence is no error.
pub(super) fn remove(config: &CaptureConfig) -> Result<(), CaptureError> {
    on_runtime(async {
        for family in [Family::Ip, Family::Ip6] {
            if family == Family::Ip6 && !kernel_has_ipv6() {
                continue;
            }
            replace_family(family, &[]).await.map_err(|error| classify(config, family, error))?;
            tproxy_routes::remove(family, config.tproxy_routes)
                .await
                .map_err(|error| classify(config, family, error))?;
        }
        Ok(())
    })
}

async fn write_family(config: &CaptureConfig, family: Family, tables: &[&Table]) -> nlink::Result<()> {
    replace_family(family, tables).await?;
    if config.tproxy.is_some() {
        tproxy_routes::replace(family, config.tproxy_routes).await?;
    }
    if family == Family::Ip6 && pod_has_ipv6() {
        have_inbound_source().await;
    }
    Ok(())
}

/// The proxy connects to its application from [`INBOUND_SOURCE_V6`]. All of 127.0.0.0/8 belongs to the loopback
/// device; of IPv6 only what it is given.
async fn have_inbound_source() {
    let given = async {
        let connection = Connection::<Route>::new()?;
        // Nobody else can have it: without the question, which the kernel asks some time later, it is there at once.
        connection.replace_address(Ipv6Address::new("lo", INBOUND_SOURCE_V6, 128).nodad()).await
    };
    if let Err(error) = given.await {
        tracing::warn!(%error, "the loopback device cannot have the address {INBOUND_SOURCE_V6}: inbound IPv6 connections will not reach the application");
    }
}

async fn replace_family(family: Family, tables: &[&Table]) -> nlink::Result<()> {
    let connection = Connection::<Nftables>::new()?;
    let mut transaction = connection.transaction();
    let mut changes = !tables.is_empty();
    for existing in connection.list_tables_in(family).await? {
        if let Some(own) = OWN_TABLES.iter().find(|own| existing.name.as_str() == **own) {
            transaction = transaction.del_table(own, family);
            changes = true;
        }
    }
    if !changes {
        return Ok(());
    }
    for table in tables {
        transaction = transaction.add_table(table.name, family);
        for chain in &table.chains {
            let mut declared = Chain::new(table.name, chain.name)?.family(family);
            if let Some(base) = &chain.base {
                declared = declared.base(base.clone());
            }
            transaction = transaction.add_chain(declared);
        }
        for chain in &table.chains {
            for spec in &chain.rules {
                transaction = transaction
                    .add_rule(Rule::from_spec(table.name, chain.name, spec.clone()).family(family));
            }
        }
    }
    transaction.commit(&connection).await
}

fn on_runtime(work: impl Future<Output = Result<(), CaptureError>>) -> Result<(), CaptureError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| CaptureError::System { action: "start the netlink runtime".to_owned(), source })?
        .block_on(work)
}

/// IPv6 addresses of the network namespace of this thread, which need not be that of its process; not every `/proc` tells of threads.
fn ipv6_addresses() -> &'static Path {
    let of_thread = Path::new("/proc/thread-self/net/if_inet6");
    if of_thread.exists() { of_thread } else { Path::new("/proc/net/if_inet6") }
}

fn kernel_has_ipv6() -> bool {
    ipv6_addresses().exists()
}

/// Whether the namespace has an IPv6 address that others can reach.
fn pod_has_ipv6() -> bool {
    // Columns: address, interface index, prefix length, scope (00 = global), flags, device.
    std::fs::read_to_string(ipv6_addresses())
        .unwrap_or_default()
        .lines()
        .any(|line| line.split_whitespace().nth(3) == Some("00"))
}

/// Whether the namespace has an IPv4 address that others can reach.
fn pod_has_ipv4() -> bool {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let mut addresses =
        interfaces.filter_map(|interface| interface.address?.as_sockaddr_in().map(|v4| v4.ip()));
    addresses.any(|address| !address.is_loopback() && !address.is_link_local())
}

/// Puts the kernel's refusal in words that say what to do.
fn classify(config: &CaptureConfig, family: Family, source: nlink::Error) -> CaptureError {
    let family = if family == Family::Ip6 { "IPv6" } else { "IPv4" };
    if source.is_permission_denied() {
        return CaptureError::Permission(source);
    }
    let missing = [nix::libc::EPROTONOSUPPORT, nix::libc::EAFNOSUPPORT];
    if source.is_not_found()
        || source.is_not_supported()
        || source.errno().is_some_and(|errno| missing.contains(&errno))
    {
        return match config.tproxy {
            None => CaptureError::Unsupported { family, source },
            Some(_) => CaptureError::NoTproxy { family, source },
        };
    }
    CaptureError::Refused { family, source }
}
