//! IST0118 and IST0150: a Service's port whose name and `appProtocol` say no protocol, so that the proxy has to find out; and such a port of
//! an ExternalName service, or one that is named for TCP: it takes all traffic to that port.

use sagene_api::Object;
use sagene_api::kubernetes::service::ServicePort;
use sagene_api::kubernetes::{IntOrString, Service};
use sagene_model::Protocol;
use sagene_model::labels::Labels;

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::filter::IGNORED_NAMESPACES;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "service.PortNameAnalyzer",
    description: "Service ports whose names do not follow Istio's convention",
    codes: &[Code::PortNameIsNotUnderNamingConvention, Code::ExternalNameServiceTypeInvalidPortName],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for service in input.snapshot.services.iter() {
        let namespace = service.metadata.namespace.as_str();
        let of_mesh = namespace == input.mesh.root_namespace || IGNORED_NAMESPACES.contains(&namespace);
        if of_mesh || is_of_installation(&service.metadata.labels) {
            continue;
        }
        for (index, port) in service.spec.ports.iter().enumerate() {
            messages.extend(of_port(service, index, port));
        }
    }
    messages
}

/// The mesh's own Services, gateways in any namespace included, and that of the API server.
fn is_of_installation(labels: &Labels) -> bool {
    let is = |key: &str, value: &str| labels.get(key).is_some_and(|own| own == value);
    labels.contains_key("istio") || is("release", "istio") || is("provider", "kubernetes")
}

fn of_port(service: &Object<Service>, index: usize, port: &ServicePort) -> Option<Message> {
    let path = || at("spec.ports").index(index).key(if port.name.is_empty() { "port" } else { "name" });
    let protocol = |number| Protocol::of_service_port(&port.protocol, &port.app_protocol, &port.name, number);
    let is_unspecified = protocol(port.port).is_unspecified();
    if service.spec.r#type == "ExternalName" {
        let text = "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched traffic for ports serving TCP \
                    protocol from being forwarded correctly";
        let code = Code::ExternalNameServiceTypeInvalidPortName;
        // A number that stands for TCP is not a name for it.
        return (is_unspecified || protocol(0) == Protocol::Tcp)
            .then(|| Message::new(code, refer(service), text.to_owned()).at(path()));
    }
    if !is_unspecified {
        return None;
    }
    let target = match &port.target_port {
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(name)) => name.clone(),
        None => port.port.to_string(),
    };
    let text = format!(
        "Port name {} (port: {}, targetPort: {target}) doesn't follow the naming convention of Istio port.",
        port.name, port.port
    );
    Some(Message::new(Code::PortNameIsNotUnderNamingConvention, refer(service), text).at(path()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn found(port: &str) -> Vec<String> {
        findings(
            &CHECK,
            &format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec:\n  ports:\n  - {port}\n"),
        )
    }

    #[test]
    fn names_protocols_and_numbers() {
        assert_eq!(found("{name: web, port: 8080}"), ["IST0118 Service default/s@6"]);
        assert_eq!(found("{port: 8080}").len(), 1);
        assert_eq!(found("{name: httpweb, port: 8080}").len(), 1);
        for good in [
            "{name: http, port: 80}",
            "{name: http-web, port: 80}",
            "{name: web, appProtocol: http, port: 80}",
            "{name: db, port: 3306}",
            "{name: dns, port: 53, protocol: UDP}",
        ] {
            assert!(found(good).is_empty(), "{good}");
        }
    }

    #[test]
    fn services_of_the_mesh_itself() {
        let service = |labels: &str| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: edge, labels: {labels}}}\nspec: {{ports: [{{name: status-port, port: 15021}}]}}\n"
            )
        };
        assert_eq!(findings(&CHECK, &service("{app: x}")).len(), 1);
        for good in ["{istio: ingressgateway}", "{release: istio}", "{provider: kubernetes}"] {
            assert!(findings(&CHECK, &service(good)).is_empty(), "{good}");
        }
    }

    #[test]
    fn aliases_of_other_names() {
        let alias = |port: &str| {
            findings(
                &CHECK,
                &format!(
                    "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec:\n  type: ExternalName\n  externalName: a.io\n  ports:\n  - {port}\n"
                ),
            )
        };
        for bad in
            ["{name: tcp, port: 80}", "{name: tcp-db, port: 80}", "{name: web, port: 80}", "{port: 80}"]
        {
            assert_eq!(alias(bad), ["IST0150 Service default/s@8"], "{bad}");
        }
        for good in ["{name: http, port: 80}", "{name: tls, port: 443}", "{name: web, port: 3306}"] {
            assert!(alias(good).is_empty(), "{good}");
        }
    }
}
