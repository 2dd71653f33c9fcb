//! IST0138: one certificate in several Gateways of the same workloads.
//!
//! A browser keeps its HTTP/2 connection to one Gateway and sends it requests for the hosts of the other, which it does not know: 404.

use std::collections::HashMap;

use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::istio::networking::gateway::{ServerTlsMode, ServerTlsSettings};
use sagene_model::labels::has_all;

use super::Check;
use super::support::words::{key, list, refer};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "gateway.CertificateAnalyzer",
    description: "One certificate in several Gateways of the same workloads",
    codes: &[Code::GatewayDuplicateCertificate],
    run,
};

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
    let shared = uses.values().filter(|uses| uses.len() > 1);
    shared.flat_map(|uses| uses.iter().filter_map(|own| duplicate(own, uses))).collect()
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

fn duplicate(own: &Use<'_>, uses: &[Use<'_>]) -> Option<Message> {
    let (gateway, index) = own;
    let others =
        uses.iter().filter(|(other, _)| !std::ptr::eq(*other, *gateway) && share_workloads(gateway, other));
    let mut names: Vec<String> = others.map(|(other, _)| key(&other.metadata)).collect();
    if names.is_empty() {
        return None;
    }
    names.push(key(&gateway.metadata));
    names.sort();
    names.dedup();
    let text = format!(
        "Duplicate certificate in multiple gateways {} may cause 404s if clients re-use HTTP2 connections.",
        list(names)
    );
    let tls = gateway.spec.servers.get(*index).and_then(|server| server.tls.as_ref())?;
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
