//! IST0113: a DestinationRule sends plaintext to a service whose workloads take only mutual TLS.

use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::DestinationRule;
use sagene_api::istio::networking::traffic_policy::{ClientTlsMode, ClientTlsSettings};
use sagene_api::kubernetes;
use sagene_model::peer_authentication::{Mode, effective};
use sagene_model::{Hostname, Service, service};

use super::Check;
use crate::code::Code;
use crate::input::{Input, at, reference};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "auth.MTLSAnalyzer",
    description: "DestinationRules whose TLS mode contradicts the PeerAuthentication of the service",
    codes: &[Code::MtlsPolicyConflict],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    let services: Vec<(Service, Arc<Object<kubernetes::Service>>)> = input
        .snapshot
        .services
        .iter()
        .map(|object| (service::of_kubernetes(object, &input.mesh), object.clone()))
        .collect();
    input.snapshot.destination_rules.iter().filter_map(|rule| conflict(input, rule, &services)).collect()
}

fn conflict(
    input: &Input,
    rule: &Arc<Object<DestinationRule>>,
    services: &[(Service, Arc<Object<kubernetes::Service>>)],
) -> Option<Message> {
    let tls = rule.spec.traffic_policy.as_ref()?.tls.as_ref()?;
    let host = Hostname::resolve(&rule.spec.host, &rule.metadata.namespace, &input.mesh.domain);
    let (service, object) = services.iter().find(|(service, _)| service.hostname == host)?;
    // The mode of the pods that it selects is what counts; labels of the selector are those that all its pods have.
    let mode = effective(&input.snapshot, &input.mesh, &service.namespace, &object.spec.selector).workload;
    contradiction(tls, mode).map(|words| {
        let text = format!("A DestinationRule and a PeerAuthentication are in conflict with regards to mTLS for host {host}. The DestinationRule {:?} {words}", rule.key());
        Message::new(Code::MtlsPolicyConflict, reference(rule), text).at(at("spec.trafficPolicy.tls.mode"))
    })
}

fn contradiction(tls: &ClientTlsSettings, mode: Mode) -> Option<&'static str> {
    match (tls.mode, mode) {
        (ClientTlsMode::Disable, Mode::Strict) => {
            Some("sends plaintext, but the service takes only mTLS (STRICT): requests will fail.")
        }
        (ClientTlsMode::IstioMutual, Mode::Disable) => {
            Some("sends mTLS, but the service takes only plaintext (DISABLE): requests will fail.")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn yaml(client: &str, server: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: cart}}\nspec: {{clusterIP: 10.0.0.1, selector: {{app: cart}}}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p}}\nspec: {{mtls: {{mode: {server}}}}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec:\n  host: cart\n  trafficPolicy:\n    tls:\n      mode: {client}\n"
        )
    }

    #[test]
    fn plaintext_against_strict_and_the_other_way_round() {
        assert_eq!(findings(&CHECK, &yaml("DISABLE", "STRICT")), ["IST0113 DestinationRule default/d@18"]);
        assert_eq!(findings(&CHECK, &yaml("ISTIO_MUTUAL", "DISABLE")).len(), 1);
        for (client, server) in [("DISABLE", "PERMISSIVE"), ("ISTIO_MUTUAL", "STRICT"), ("SIMPLE", "STRICT")]
        {
            assert!(findings(&CHECK, &yaml(client, server)).is_empty());
        }
    }
}
