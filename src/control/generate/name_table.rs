//! The name table: addresses of every visible host, for the DNS server of the proxy.

use std::sync::Arc;

use sagene_model::service::Registry;

use super::ResourceSet;
use super::extension::{NameInfo, NameTable};
use crate::index::Index;
use crate::index::view::View;

/// Name of the one name table there is.
const NAME: &str = "nametable";

/// The table of a view. Headless services answer with their pods, and each named pod has a name of its own.
pub(crate) fn name_table(index: &Index, view: &View) -> Arc<ResourceSet> {
    let mut table = NameTable::default();
    for visible in &view.services {
        let service = &visible.service;
        let Some(state) = index.services.get(&visible.key) else { continue };
        let kubernetes = service.registry == Registry::Kubernetes;
        let info = |ips: Vec<String>, shortname: &str| NameInfo {
            ips,
            registry: if kubernetes { "Kubernetes" } else { "External" }.to_owned(),
            shortname: if kubernetes { shortname } else { "" }.to_owned(),
            namespace: if kubernetes { service.namespace.clone() } else { String::new() },
        };
        let mut ips: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
        if service.is_headless() && kubernetes {
            for one in state.healthy() {
                add(&mut ips, one.addresses());
                if !one.hostname.is_empty() {
                    let name = format!("{}.{}", one.hostname, service.hostname);
                    let shortname = format!("{}.{}", one.hostname, service.name);
                    let pod = table.table.entry(name).or_insert_with(|| info(Vec::new(), &shortname));
                    add(&mut pod.ips, one.addresses());
                }
            }
        }
        if !ips.is_empty() {
            table.table.insert(service.hostname.to_string(), info(ips, &service.name));
        }
    }
    ResourceSet::new(vec![crate::generate::resource::encode(NAME, &table)])
}

fn add<'a>(ips: &mut Vec<String>, more: impl Iterator<Item = &'a str>) {
    for ip in more {
        if !ips.iter().any(|known| known == ip) {
            ips.push(ip.to_owned());
        }
    }
}
