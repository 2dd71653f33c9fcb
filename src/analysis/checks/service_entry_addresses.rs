//! IST0134: a ServiceEntry for TCP without addresses: every connection to its port is taken for one to it.

use sagene_api::Object;
use sagene_api::istio::networking::ServiceEntry;
use sagene_model::Protocol;

use super::Check;
use super::support::words::refer;
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "serviceentry.Analyzer",
    description: "ServiceEntries for TCP without addresses",
    codes: &[Code::ServiceEntryAddressesRequired],
    run,
};

/// Label that asks for, or refuses, an address chosen by the control plane.
const ALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";

fn run(input: &Input) -> Vec<Message> {
    let proxies_allocate = {
        let metadata = &input.mesh_config.default_config.proxy_metadata;
        let is_on = |key: &str| metadata.get(key).is_some_and(|value| value == "true");
        is_on("ISTIO_META_DNS_CAPTURE") && is_on("ISTIO_META_DNS_AUTO_ALLOCATE")
    };
    if proxies_allocate || input.settings_are_withheld() {
        return Vec::new();
    }
    input.snapshot.service_entries.iter().filter_map(|entry| of_entry(entry)).collect()
}

fn of_entry(entry: &Object<ServiceEntry>) -> Option<Message> {
    let has_address = !entry.spec.addresses.is_empty()
        || entry.status.as_ref().is_some_and(|status| !status.addresses.is_empty())
        || entry.metadata.labels.get(ALLOCATE).is_some_and(|value| value == "true");
    if has_address {
        return None;
    }
    let index = entry.spec.ports.iter().position(|port| {
        let protocol = if port.protocol.is_empty() { Protocol::Tcp } else { Protocol::parse(&port.protocol) };
        protocol == Protocol::Tcp
    })?;
    let field = if entry.spec.ports[index].protocol.is_empty() { "number" } else { "protocol" };
    let text = "ServiceEntry addresses are required for this protocol.".to_owned();
    let path = at(&format!("spec.ports[{index}].{field}"));
    Some(Message::new(Code::ServiceEntryAddressesRequired, refer(entry), text).at(path))
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
        assert_eq!(findings(&CHECK, &entry("ports: [{number: 9000, name: x}]")).len(), 1);
        for good in [
            "ports: [{number: 9000, name: x, protocol: TLS}]",
            "ports: [{number: 9000, name: x, protocol: http}]",
            "{ports: [{number: 9000, name: x, protocol: TCP}], addresses: [10.1.1.1]}",
        ] {
            let yaml = entry(good).replace("  hosts: [a.io]\n  {ports", "  {hosts: [a.io], ports");
            assert!(findings(&CHECK, &yaml).is_empty(), "{good}");
        }
        let mesh = "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true', ISTIO_META_DNS_AUTO_ALLOCATE: 'true'}}";
        assert!(texts_with_mesh(&CHECK, mesh, &entry("ports: [{number: 9000, name: x}]")).is_empty());
    }
}
