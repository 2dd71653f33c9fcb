//! IST0118: a Service's port whose name and `appProtocol` say no protocol, so that the proxy has to find out.

use sagene_api::kubernetes::IntOrString;
use sagene_model::Protocol;

use super::Check;
use crate::code::Code;
use crate::input::{Input, at, reference};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "service.PortNameAnalyzer",
    description: "Service ports whose names do not follow Istio's convention",
    codes: &[Code::PortNameIsNotUnderNamingConvention],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for service in input.snapshot.services.iter() {
        let of_mesh = service.metadata.namespace == input.mesh.root_namespace;
        // The API server's own Service has no workload of the mesh behind it.
        let of_cluster =
            service.metadata.labels.get("provider").is_some_and(|provider| provider == "kubernetes");
        if of_mesh || of_cluster || service.spec.r#type == "ExternalName" {
            continue;
        }
        for (index, port) in service.spec.ports.iter().enumerate() {
            if !Protocol::of_service_port(&port.protocol, &port.app_protocol, &port.name, port.port)
                .is_unspecified()
            {
                continue;
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
            let path = at("spec.ports").index(index).key(if port.name.is_empty() { "port" } else { "name" });
            messages.push(
                Message::new(Code::PortNameIsNotUnderNamingConvention, reference(service), text).at(path),
            );
        }
    }
    messages
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
}
