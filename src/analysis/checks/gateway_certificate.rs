//! IST0138: one certificate in several Gateways of the same workloads.
//!
//! A browser keeps its HTTP/2 connection to one Gateway and sends it requests for the hosts of the other, which it does not know: 404.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::istio::networking::gateway::{ServerTlsMode, ServerTlsSettings};
use sagene_model::labels::has_all;

use super::support::words::{key, list, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "gateway.CertificateAnalyzer",
    description: "One certificate in several Gateways of the same workloads",
    codes: &[Code::GatewayDuplicateCertificate],
    how: Run::Whole(run),
};

/// A Gateway and the index of one of its servers.
type Use<'i> = (&'i Object<Gateway>, usize);

fn run(input: &Input) -> Vec<Message> {
    let mut uses: HashMap<(&str, &str), Vec<Use<'_>>> = HashMap::new();
    for gateway in input.snapshot.gateways.iter() {
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            for certificate in server.tls.iter().flat_map(certificates) {
                uses.entry(certificate).or_default().push((gateway, index));
            }
        }
    }
    // A Gateway is told once, whatever it shares and with how many.
    let mut shared: BTreeMap<(&str, &str), (Use<'_>, BTreeSet<String>)> = BTreeMap::new();
    for uses in uses.values().filter(|uses| uses.len() > 1) {
        for (gateway, index) in uses {
            let others = uses.iter().map(|(other, _)| *other);
            let others =
                others.filter(|other| !std::ptr::eq(*other, *gateway) && share_workloads(gateway, other));
            let names: BTreeSet<String> = others.map(|other| key(&other.metadata)).collect();
            if names.is_empty() {
                continue;
            }
            let place = (gateway.metadata.namespace.as_str(), gateway.metadata.name.as_str());
            let (first, known) = shared.entry(place).or_insert(((gateway, *index), BTreeSet::new()));
            first.1 = first.1.min(*index);
            known.extend(names);
        }
    }
    shared.into_values().filter_map(|(own, others)| duplicate(own, others)).collect()
}

/// What names the certificates of a server: a Secret, or two files.
fn certificates(tls: &ServerTlsSettings) -> Vec<(&str, &str)> {
    if matches!(
        tls.mode,
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough | ServerTlsMode::IstioMutual
    ) {
        return Vec::new();
    }
    let secrets = std::iter::once(&tls.credential_name).chain(&tls.credential_names);
    let secrets = secrets.map(|name| (name.as_str(), ""));
    let files = (tls.server_certificate.as_str(), tls.private_key.as_str());
    secrets.chain([files]).filter(|(name, _)| !name.is_empty()).collect()
}

fn duplicate((gateway, index): Use<'_>, mut names: BTreeSet<String>) -> Option<Message> {
    names.insert(key(&gateway.metadata));
    let text = format!(
        "Duplicate certificate in multiple gateways {} may cause 404s if clients re-use HTTP2 connections.",
        list(names)
    );
    let tls = gateway.spec.servers.get(index).and_then(|server| server.tls.as_ref())?;
    let field = match tls {
        tls if !tls.credential_name.is_empty() => "credentialName",
        tls if !tls.credential_names.is_empty() => "credentialNames",
        _ => "serverCertificate",
    };
    let path = at(&format!("spec.servers[{index}].tls.{field}"));
    Some(Message::new(Code::GatewayDuplicateCertificate, refer(gateway), text).at(path))
}

/// True where all workloads of the one are workloads of the other.
fn share_workloads(left: &Object<Gateway>, right: &Object<Gateway>) -> bool {
    let (left, right) = (&left.spec.selector, &right.spec.selector);
    has_all(left, right) || has_all(right, left)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn gateway(name: &str, selector: &str, tls: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  selector: {selector}\n  servers:\n  - port: {{number: 443, name: https, protocol: HTTPS}}\n    hosts: [{name}.com]\n    tls: {tls}\n---\n"
        )
    }

    #[test]
    fn one_secret_twice() {
        let tls = "{mode: SIMPLE, credentialName: c}";
        let yaml = gateway("a", "{istio: edge}", tls) + &gateway("b", "{istio: edge, app: x}", tls);
        assert_eq!(findings(&CHECK, &yaml), ["IST0138 Gateway default/a@9", "IST0138 Gateway default/b@19"]);
        assert!(texts(&CHECK, &yaml)[0].contains("in multiple gateways [default/a default/b] may"));
        let twice = yaml.replace(
            "---\n",
            "  - port: {number: 444, name: tls, protocol: HTTPS}\n    hosts: [x.com]\n    tls: {mode: SIMPLE, credentialName: c}\n---\n",
        );
        assert_eq!(findings(&CHECK, &twice).len(), 2, "once for a Gateway");
        for (selector, tls) in [
            ("{istio: other}", tls),
            ("{istio: edge}", "{mode: SIMPLE, credentialName: d}"),
            ("{istio: edge}", "{mode: PASSTHROUGH}"),
        ] {
            let yaml = gateway("a", "{istio: edge}", "{mode: SIMPLE, credentialName: c}")
                + &gateway("b", selector, tls);
            assert!(findings(&CHECK, &yaml).is_empty(), "{selector} {tls}");
        }
    }
}
