//! IST0134: a ServiceEntry for TCP without addresses: every connection to its port is taken for one to it. Where proxies answer DNS the control
//! plane chooses addresses for most entries.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::ServiceEntry;
use sagene_model::address_allocation::{self, ALLOCATE_LABEL};

use super::{Check, Run, schema};
use crate::code::Code;
use crate::input::{Input, reference};
use crate::message::Message;
use crate::validation::service_entry::without_address;

pub(super) const CHECK: Check = Check {
    name: "serviceentry.Analyzer",
    description: "ServiceEntries for TCP without addresses",
    codes: &[Code::ServiceEntryAddressesRequired],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    if input.settings_are_withheld() {
        return Vec::new();
    }
    let metadata = &input.mesh_config.default_config.proxy_metadata;
    let proxies_answer = metadata.get("ISTIO_META_DNS_CAPTURE").is_some_and(|value| value == "true");
    let entries = input.snapshot.service_entries.iter();
    entries.filter(|entry| !(proxies_answer && gets_addresses(entry))).flat_map(of_entry).collect()
}

/// True where the control plane chooses an address for every host.
fn gets_addresses(entry: &Object<ServiceEntry>) -> bool {
    entry.spec.hosts.iter().all(|host| address_allocation::is_wanted_for(entry, host))
}

fn of_entry(entry: &Arc<Object<ServiceEntry>>) -> Vec<Message> {
    let has_address = !entry.spec.addresses.is_empty()
        || entry.status.as_ref().is_some_and(|status| !status.addresses.is_empty())
        || entry.metadata.labels.get(ALLOCATE_LABEL).is_some_and(|value| value == "true");
    if has_address {
        return Vec::new();
    }
    without_address(&entry.spec).map(|problem| schema::message(reference(entry), problem)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts_with_mesh};
    use super::*;

    fn entry(spec: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e}}\nspec:\n  hosts: [a.io]\n  {spec}\n"
        )
    }

    #[test]
    fn bytes_need_an_address() {
        assert_eq!(
            findings(&CHECK, &entry("ports:\n  - number: 9000\n    name: x\n    protocol: TCP")),
            ["IST0134 ServiceEntry default/e@9"]
        );
        let several = "ports: [{number: 9000, name: x}, {number: 80, name: web, protocol: HTTP}, {number: 9001, name: z}]";
        assert_eq!(findings(&CHECK, &entry(several)).len(), 2);
        for good in [
            "ports: [{number: 9000, name: x, protocol: TLS}]",
            "ports: [{number: 9000, name: x, protocol: http}]",
            "{ports: [{number: 9000, name: x, protocol: TCP}], addresses: [10.1.1.1]}",
        ] {
            let yaml = entry(good).replace("  hosts: [a.io]\n  {ports", "  {hosts: [a.io], ports");
            assert!(findings(&CHECK, &yaml).is_empty(), "{good}");
        }
        let mesh = "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}";
        let of =
            |resolution| entry(&format!("resolution: {resolution}\n  ports: [{{number: 9000, name: x}}]"));
        assert!(texts_with_mesh(&CHECK, mesh, &of("DNS")).is_empty());
        assert_eq!(texts_with_mesh(&CHECK, mesh, &of("NONE")).len(), 1);
        assert_eq!(findings(&CHECK, &of("DNS")).len(), 1);
    }
}
