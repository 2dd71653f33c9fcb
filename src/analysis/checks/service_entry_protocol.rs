//! IST0177: ServiceEntries that give one port of a host different protocols, where some client sees both.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sagene_api::Object;
use sagene_api::istio::networking::ServiceEntry;
use sagene_model::visibility::is_visible;
use sagene_model::{Hostname, Mesh, Protocol};

use super::support::words::{key, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
    description: "ServiceEntries that give one port of a host different protocols",
    codes: &[Code::ConflictingServiceEntryProtocol],
    how: Run::Whole(run),
};

/// A port of a ServiceEntry: the object, the port's index, its protocol as written.
type Claim<'i> = (&'i Object<ServiceEntry>, usize, &'i str);

fn run(input: &Input) -> Vec<Message> {
    let mut claims: HashMap<(Hostname, u32), Vec<Claim<'_>>> = HashMap::new();
    for entry in input.snapshot.service_entries.iter() {
        for host in &entry.spec.hosts {
            for (index, port) in entry.spec.ports.iter().enumerate() {
                let key = (Hostname::new(host), port.number);
                claims.entry(key).or_default().push((entry, index, &port.protocol));
            }
        }
    }
    let contested: BTreeMap<_, _> = claims.into_iter().filter(|(_, claims)| claims.len() > 1).collect();
    let mut messages = Vec::new();
    for ((host, port), claims) in &contested {
        messages.extend(claims.iter().filter_map(|own| conflict(own, claims, host, *port, &input.mesh)));
    }
    messages
}

fn conflict(
    own: &Claim<'_>,
    claims: &[Claim<'_>],
    host: &Hostname,
    port: u32,
    mesh: &Mesh,
) -> Option<Message> {
    let (entry, index, protocol) = own;
    let spoken = |text: &str| if text.is_empty() { Protocol::Tcp } else { Protocol::parse(text) };
    let rivals: Vec<&Claim<'_>> = claims
        .iter()
        .filter(|(other, _, theirs)| {
            !std::ptr::eq(*other, *entry) && spoken(theirs) != spoken(protocol) && meet(entry, other, mesh)
        })
        .collect();
    if rivals.is_empty() {
        return None;
    }
    let all = || rivals.iter().copied().chain([own]);
    let names: BTreeSet<String> = all().map(|(entry, ..)| key(&entry.metadata)).collect();
    let protocols: BTreeSet<&str> =
        all().map(|(_, _, text)| if text.is_empty() { "TCP" } else { text }).collect();
    let text = format!(
        "Multiple ServiceEntries ({}) define the same host {:?} and port {port} with conflicting protocols ({}).",
        names.into_iter().collect::<Vec<_>>().join(", "),
        host.as_str(),
        protocols.into_iter().collect::<Vec<_>>().join(", ")
    );
    let path = at(&format!("spec.ports[{index}].protocol"));
    Some(Message::new(Code::ConflictingServiceEntryProtocol, refer(*entry), text).at(path))
}

/// True where some namespace sees both.
fn meet(left: &Object<ServiceEntry>, right: &Object<ServiceEntry>, mesh: &Mesh) -> bool {
    let default = &mesh.default_service_export_to;
    let sees = |entry: &Object<ServiceEntry>, place: &str| {
        is_visible(&entry.spec.export_to, default, &entry.metadata.namespace, place)
    };
    let named = left.spec.export_to.iter().chain(&right.spec.export_to).map(String::as_str);
    let owners = [left.metadata.namespace.as_str(), right.metadata.namespace.as_str()];
    // A namespace that nobody names stands for all the others.
    named
        .filter(|entry| !matches!(*entry, "*" | "." | "~"))
        .chain(owners)
        .chain(["\0"])
        .any(|place| sees(left, place) && sees(right, place))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn entry(namespace: &str, protocol: &str, export_to: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e, namespace: {namespace}}}\nspec:\n  hosts: [a.io]\n  exportTo: {export_to}\n  ports:\n  - number: 443\n    name: p\n    protocol: {protocol}\n---\n"
        )
    }

    #[test]
    fn one_port_two_protocols() {
        let yaml = entry("a", "TLS", "['*']") + &entry("b", "HTTPS", "['*']");
        assert_eq!(findings(&CHECK, &yaml), ["IST0177 ServiceEntry a/e@10", "IST0177 ServiceEntry b/e@21"]);
        assert_eq!(
            texts(&CHECK, &yaml)[0],
            "Multiple ServiceEntries (a/e, b/e) define the same host \"a.io\" and port 443 with conflicting protocols (HTTPS, TLS)."
        );
        for other in [entry("b", "tls", "['*']"), entry("b", "HTTPS", "[.]")] {
            assert!(findings(&CHECK, &(entry("a", "TLS", "[.]") + &other)).is_empty(), "{other}");
        }
        assert_eq!(findings(&CHECK, &(entry("a", "TLS", "[b]") + &entry("b", "HTTPS", "[.]"))).len(), 2);
    }
}
