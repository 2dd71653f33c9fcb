//! Objects of Kubernetes that `validate` looks at: names of Service ports, labels of Deployments.

use std::sync::Arc;

use sagene_api::kubernetes::{Deployment, Service};
use sagene_api::{Object, ObjectMeta};

use super::common::PROTOCOLS;
use super::nearest::hint;
use crate::code::Code;
use crate::input::{Input, reference};
use crate::message::Message;
use crate::path::FieldPath;

/// Namespaces whose objects are left alone.
const LEFT_ALONE: &[&str] = &["kube-system", "istio-system"];

/// Service ports whose protocol the mesh cannot tell (errors), and Deployments whose telemetry lacks names (warnings).
pub fn problems(input: &Input) -> Vec<Message> {
    let seen = |metadata: &ObjectMeta| !LEFT_ALONE.contains(&metadata.namespace.as_str());
    let services = input.snapshot.services.iter().filter(|service| seen(&service.metadata));
    let deployments = input.snapshot.deployments.iter().filter(|deployment| seen(&deployment.metadata));
    services.flat_map(ports).chain(deployments.flat_map(labels)).collect()
}

fn ports(service: &Arc<Object<Service>>) -> Vec<Message> {
    let mut messages = Vec::new();
    for (index, port) in service.spec.ports.iter().enumerate() {
        let path = FieldPath::parse("spec.ports").index(index);
        if port.protocol.eq_ignore_ascii_case("UDP") {
            continue;
        }
        let (path, problem) = match (port.app_protocol.as_str(), port.name.as_str()) {
            ("", "") => (path, Some("has no name; write name: http or appProtocol: http".to_owned())),
            ("", name) => (path.key("name"), unknown(name, name.split('-').next().unwrap_or_default())),
            (protocol, _) => {
                let plain = protocol.rsplit('/').next().unwrap_or_default();
                (path.key("appProtocol"), unknown(protocol, plain))
            }
        };
        if let Some(problem) = problem {
            let text = format!("{path}: port {} {problem}", port.port);
            messages.push(Message::new(Code::SchemaValidationError, reference(service), text).at(path));
        }
    }
    messages
}

/// What is wrong with a name whose protocol is none.
fn unknown(name: &str, protocol: &str) -> Option<String> {
    // What Kubernetes itself names in `appProtocol`.
    let other = ["h2c", "ws", "wss"];
    if PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol)) || other.contains(&protocol) {
        return None;
    }
    let known: Vec<String> = PROTOCOLS.iter().map(|known| known.to_lowercase()).collect();
    let near = hint(protocol, known.iter().map(String::as_str));
    Some(format!("{name:?} does not follow the Istio naming convention; want <protocol>[-<suffix>]{near}"))
}

fn labels(deployment: &Arc<Object<Deployment>>) -> Vec<Message> {
    let labels = &deployment.spec.template.metadata.labels;
    let needed = [
        ("app", ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]),
        ("version", ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]),
    ];
    let missing =
        needed.into_iter().filter(|(_, names)| !names.iter().any(|name| labels.contains_key(*name)));
    missing
        .map(|(label, _)| {
            let path = FieldPath::parse("spec.template.metadata.labels");
            let text = format!("{path}: may not provide Istio metrics and telemetry without label {label:?}");
            Message::new(Code::SchemaWarning, reference(deployment), text).at(path)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::load;

    fn found(yaml: &str) -> Vec<String> {
        let mut input = Input::default();
        assert!(load(&mut input, "f.yaml", yaml.to_owned(), "default").is_empty());
        problems(&input).iter().map(|it| format!("{} {}", it.code.id(), it.text)).collect()
    }

    #[test]
    fn names_of_ports() {
        let service = |port: &str| {
            format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{ports: [{port}]}}\n")
        };
        assert_eq!(
            found(&service("{port: 80, name: htp-web}")),
            [
                "IST0106 spec.ports[0].name: port 80 \"htp-web\" does not follow the Istio naming convention; want <protocol>[-<suffix>]; did you mean \"http\"?"
            ]
        );
        assert_eq!(
            found(&service("{port: 80}")),
            ["IST0106 spec.ports[0]: port 80 has no name; write name: http or appProtocol: http"]
        );
        assert!(
            found(&service("{port: 80, name: a, appProtocol: nope}"))[0]
                .contains("spec.ports[0].appProtocol")
        );
        for good in [
            "{port: 80, name: http}",
            "{port: 80, name: grpc-web}",
            "{port: 80, name: tcp-a}",
            "{port: 53, protocol: UDP}",
            "{port: 1, name: x, appProtocol: kubernetes.io/h2c}",
        ] {
            assert!(found(&service(good)).is_empty(), "{good}");
        }
        assert!(found("apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: kube-system}\nspec: {ports: [{port: 80}]}\n").is_empty());
    }

    #[test]
    fn labels_of_deployments() {
        let deployment = |labels: &str| {
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec: {{template: {{metadata: {{labels: {labels}}}}}}}\n"
            )
        };
        assert_eq!(
            found(&deployment("{app: a}")),
            [
                "IST0133 spec.template.metadata.labels: may not provide Istio metrics and telemetry without label \"version\""
            ]
        );
        assert!(found(&deployment("{app.kubernetes.io/name: a, version: v1}")).is_empty());
    }
}
