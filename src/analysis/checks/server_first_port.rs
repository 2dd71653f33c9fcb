//! SGN0017: a port of a protocol in which the server speaks first, whose protocol is not declared. The proxy waits for the client's first
//! bytes to find out what it speaks; client and server wait for each other.

use sagene_model::Protocol;

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::filter::IGNORED_NAMESPACES;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.ServerFirstPortAnalyzer",
    description: "Ports of protocols in which the server speaks first, without a declared protocol",
    codes: &[Code::ServerFirstPortSniffed],
    how: Run::Whole(run),
};

/// Ports of such protocols that Istio does not know by their number.
const SERVER_FIRST: &[(u16, &str)] =
    &[(21, "FTP"), (22, "SSH"), (23, "Telnet"), (110, "POP3"), (119, "NNTP"), (143, "IMAP"), (587, "SMTP")];

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    let services = input.snapshot.services.iter().filter(|service| {
        let namespace = service.metadata.namespace.as_str();
        namespace != input.mesh.root_namespace && !IGNORED_NAMESPACES.contains(&namespace)
    });
    for service in services {
        for (index, port) in service.spec.ports.iter().enumerate() {
            let protocol =
                Protocol::of_service_port(&port.protocol, &port.app_protocol, &port.name, port.port);
            let Some((_, name)) = SERVER_FIRST.iter().find(|(number, _)| *number == port.port) else {
                continue;
            };
            if !protocol.is_unspecified() {
                continue;
            }
            let text = format!(
                "In {name} (port {}) the server speaks first, but the proxy waits for the client to find out the protocol. Set appProtocol: tcp.",
                port.port
            );
            let path = at(&format!("spec.ports[{index}].port"));
            messages.push(Message::new(Code::ServerFirstPortSniffed, refer(service.as_ref()), text).at(path));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    #[test]
    fn who_speaks_first() {
        let found = |port: &str| {
            findings(
                &CHECK,
                &format!(
                    "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec:\n  ports:\n  - {port}\n"
                ),
            )
        };
        assert_eq!(found("{name: git, port: 22}"), ["SGN0017 Service default/s@6"]);
        for good in [
            "{name: tcp-git, port: 22}",
            "{appProtocol: tcp, port: 22}",
            "{name: web, port: 8080}",
            "{name: db, port: 3306}",
        ] {
            assert!(found(good).is_empty(), "{good}");
        }
    }
}
