//! IST0118 and IST0150: a Service's port whose name and `appProtocol` say no protocol, so that the proxy has to find out; and a port of an
//! ExternalName service that is named for TCP, which takes all traffic to that port.

use sagene_api::Object;
use sagene_api::kubernetes::service::ServicePort;
use sagene_api::kubernetes::{IntOrString, Service};
use sagene_model::Protocol;

use super::Check;
use super::support::words::refer;
use crate::code::Code;
use crate::filter::IGNORED_NAMESPACES;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "service.PortNameAnalyzer",
    description: "Service ports whose names do not follow Istio's convention",
    codes: &[Code::PortNameIsNotUnderNamingConvention, Code::ExternalNameServiceTypeInvalidPortName],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for service in input.snapshot.services.iter() {
        let namespace = service.metadata.namespace.as_str();
        let of_mesh = namespace == input.mesh.root_namespace || IGNORED_NAMESPACES.contains(&namespace);
        // The API server's own Service has no workload of the mesh behind it.
        let of_cluster =
            service.metadata.labels.get("provider").is_some_and(|provider| provider == "kubernetes");
        if of_mesh || of_cluster {
            continue;
        }
        for (index, port) in service.spec.ports.iter().enumerate() {
            messages.extend(of_port(service, index, port));
        }
    }
    messages
}

fn of_port(service: &Object<Service>, index: usize, port: &ServicePort) -> Option<Message> {
    let path = || at("spec.ports").index(index).key(if port.name.is_empty() { "port" } else { "name" });
    if service.spec.r#type == "ExternalName" {
        let protocol = Protocol::of_service_port(&port.protocol, &port.app_protocol, &port.name, 0);
        let text = "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and unmatched traffic for ports serving TCP \
                    protocol from being forwarded correctly";
        let code = Code::ExternalNameServiceTypeInvalidPortName;
        return (protocol == Protocol::Tcp)
            .then(|| Message::new(code, refer(service), text.to_owned()).at(path()));
    }
    if !Protocol::of_service_port(&port.protocol, &port.app_protocol, &port.name, port.port).is_unspecified()
    {
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
    fn aliases_of_other_names() {
        let alias = |port: &str| {
            findings(
                &CHECK,
                &format!(
                    "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec:\n  type: ExternalName\n  externalName: a.io\n  ports:\n  - {port}\n"
                ),
            )
        };
        assert_eq!(alias("{name: tcp, port: 80}"), ["IST0150 Service default/s@8"]);
        assert!(alias("{name: http, port: 80}").is_empty());
        assert!(alias("{name: web, port: 3306}").is_empty());
    }
}
