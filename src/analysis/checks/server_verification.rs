//! IST0128, IST0129: TLS to a server without a root certificate to verify it by.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::DestinationRule;
use sagene_api::istio::networking::traffic_policy::{ClientTlsMode, ClientTlsSettings, TrafficPolicy};

use super::support::words::key;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at, reference};
use crate::message::Message;
use crate::path::FieldPath;

pub(super) const CHECK: Check = Check {
    name: "destinationrule.CaCertificateAnalyzer",
    description: "DestinationRules with TLS that does not verify the server",
    codes: &[
        Code::NoServerCertificateVerificationDestinationLevel,
        Code::NoServerCertificateVerificationPortLevel,
    ],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    input.snapshot.destination_rules.iter().flat_map(of_rule).collect()
}

fn of_rule(rule: &Arc<Object<DestinationRule>>) -> Vec<Message> {
    let mut messages = of_policy(rule, rule.spec.traffic_policy.as_ref(), &at("spec.trafficPolicy"));
    for (index, subset) in rule.spec.subsets.iter().enumerate() {
        let path = at("spec.subsets").index(index).key("trafficPolicy");
        messages.extend(of_policy(rule, subset.traffic_policy.as_ref(), &path));
    }
    messages
}

fn of_policy(
    rule: &Arc<Object<DestinationRule>>,
    policy: Option<&TrafficPolicy>,
    path: &FieldPath,
) -> Vec<Message> {
    let Some(policy) = policy else { return Vec::new() };
    let mut messages = Vec::new();
    let words = |mode: ClientTlsMode| {
        let (name, namespace) = (key(&rule.metadata), &rule.metadata.namespace);
        format!(
            "DestinationRule {name} in namespace {namespace} has TLS mode set to {mode} but no caCertificates are set to validate server identity \
             for host: {}",
            rule.spec.host
        )
    };
    if let Some(mode) = policy.tls.as_ref().and_then(|tls| unverified(rule, tls)) {
        let code = Code::NoServerCertificateVerificationDestinationLevel;
        messages.push(Message::new(code, reference(rule), words(mode)).at(path.key("tls").key("mode")));
    }
    for (index, settings) in policy.port_level_settings.iter().enumerate() {
        let Some(mode) = settings.tls.as_ref().and_then(|tls| unverified(rule, tls)) else { continue };
        let port = settings.port.as_ref().map_or_else(String::new, |port| port.number.to_string());
        let path = path.key("portLevelSettings").index(index).key("tls").key("mode");
        let text = format!("{} at port {port}", words(mode));
        messages.push(
            Message::new(Code::NoServerCertificateVerificationPortLevel, reference(rule), text).at(path),
        );
    }
    messages
}

/// The mode, where the server is not verified. A credential brings its own root, but only sidecars that are chosen fetch it.
fn unverified(rule: &Object<DestinationRule>, tls: &ClientTlsSettings) -> Option<ClientTlsMode> {
    let originates = matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual);
    let by_credential = !tls.credential_name.is_empty() && rule.spec.workload_selector.is_some();
    let verified = !tls.ca_certificates.is_empty() || by_credential;
    (originates && !verified).then_some(tls.mode)
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn found(policy: &str) -> Vec<String> {
        let head = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec:\n  host: h\n";
        findings(&CHECK, &format!("{head}{policy}"))
    }

    #[test]
    fn every_place_where_tls_begins() {
        assert_eq!(
            found("  trafficPolicy:\n    tls:\n      mode: SIMPLE\n"),
            ["IST0128 DestinationRule default/d@8"]
        );
        assert_eq!(
            found(
                "  trafficPolicy:\n    portLevelSettings:\n    - port: {number: 443}\n      tls: {mode: MUTUAL}\n"
            ),
            ["IST0129 DestinationRule default/d@9"]
        );
        assert_eq!(
            found("  subsets:\n  - name: v1\n    trafficPolicy:\n      tls: {mode: SIMPLE}\n").len(),
            1
        );
        for good in [
            "  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /c}}\n",
            "  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}\n",
            "  trafficPolicy: {tls: {mode: DISABLE}}\n",
            "  workloadSelector: {matchLabels: {a: b}}\n  trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}\n",
        ] {
            assert!(found(good).is_empty(), "{good}");
        }
    }
}
