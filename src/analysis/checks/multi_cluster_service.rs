//! IST0170: a Service of one name that is not the same in all clusters of the mesh.
//!
//! Clients see one service with the endpoints of all clusters; kind, headlessness and ports have to agree.

use std::collections::{BTreeMap, BTreeSet};

use sagene_api::Object;
use sagene_api::kubernetes::Service;
use sagene_api::kubernetes::service::ServicePort;

use super::support::words::{list, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "services.MultiClusterServiceAnalyzer",
    description: "Services that are not the same in all clusters",
    codes: &[Code::MultiClusterInconsistentService],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    if input.remotes.is_empty() {
        return Vec::new();
    }
    let mut messages = Vec::new();
    let own = if input.cluster.is_empty() { input.mesh.cluster_id.as_str() } else { &input.cluster };
    let mut by_name: BTreeMap<(&str, &str), BTreeMap<&str, &Object<Service>>> = BTreeMap::new();
    let remotes = input.remotes.iter().map(|(cluster, snapshot)| (cluster.as_str(), snapshot));
    for (cluster, snapshot) in std::iter::once((own, &input.snapshot)).chain(remotes) {
        for service in snapshot.services.iter() {
            let key = (service.metadata.namespace.as_str(), service.metadata.name.as_str());
            by_name.entry(key).or_default().insert(cluster, service);
        }
    }
    for ((namespace, name), clusters) in by_name.into_iter().filter(|(_, clusters)| clusters.len() > 1) {
        let differences = differences(&clusters);
        let Some(service) =
            clusters.get(own).or_else(|| clusters.values().next()).filter(|_| !differences.is_empty())
        else {
            continue;
        };
        let names: Vec<String> = clusters.keys().map(|cluster| format!("{cluster:?}")).collect();
        let text = format!(
            "The service {name} in namespace {namespace:?} is inconsistent across clusters {}, which can lead to undefined behaviors. The \
             inconsistent behaviors are: {}.",
            list(names),
            differences.join("; ")
        );
        let code = Code::MultiClusterInconsistentService;
        messages.push(Message::new(code, refer(*service), text).at(at("metadata.name")));
    }
    messages
}

fn differences(clusters: &BTreeMap<&str, &Object<Service>>) -> Vec<String> {
    let group = |read: &dyn Fn(&Service) -> String| {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (cluster, service) in clusters {
            groups.entry(read(&service.spec)).or_default().push(cluster);
        }
        let words: Vec<String> =
            groups.iter().map(|(value, clusters)| format!("{value} in {}", clusters.join(", "))).collect();
        (groups.len() > 1).then(|| words.join(", "))
    };
    let headless =
        group(&|service| (if is_headless(service) { "headless" } else { "not headless" }).to_owned());
    let kind = group(&|service| {
        if service.r#type.is_empty() { "ClusterIP".to_owned() } else { service.r#type.clone() }
    });
    let ports = group(&ports);
    // Istio's words, and what differs.
    [
        ("service has mixed mode like headless and clusterIP", headless),
        ("service type is inconsistent", kind),
        ("service ports are inconsistent", ports),
    ]
    .into_iter()
    .filter_map(|(what, words)| Some(format!("{what} ({})", words?)))
    .collect()
}

fn is_headless(service: &Service) -> bool {
    service.cluster_ip == "None"
}

/// `80/http/TCP 90/web/TCP/kubernetes.io/h2c`, by number: what clients go by.
fn ports(service: &Service) -> String {
    let word = |port: &ServicePort| {
        let transport = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
        let application = if port.app_protocol.is_empty() { "" } else { "/" };
        format!("{}/{}/{transport}{application}{}", port.port, port.name, port.app_protocol)
    };
    let ports: BTreeSet<(u16, String)> = service.ports.iter().map(|port| (port.port, word(port))).collect();
    list(ports.into_iter().map(|(_, word)| word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::load;

    fn input(own: &str, other: &str) -> Input {
        let service = |spec: &str| {
            format!("apiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: 'n'}}\nspec: {spec}\n")
        };
        let mut remote = Input::default();
        load(&mut remote, "r.yaml", service(other), "default");
        let mut input = Input { cluster: "c1".to_owned(), ..Input::default() };
        load(&mut input, "o.yaml", service(own), "default");
        input.remotes.insert("c2".to_owned(), remote.snapshot);
        input
    }

    #[test]
    fn what_has_to_agree() {
        let found = |own: &str, other: &str| CHECK.run(&input(own, other));
        let ports = found("{ports: [{name: http, port: 80}]}", "{ports: [{name: http, port: 81}]}");
        assert_eq!(
            ports[0].text,
            "The service s in namespace \"n\" is inconsistent across clusters [\"c1\" \"c2\"], which can lead to undefined behaviors. The \
             inconsistent behaviors are: service ports are inconsistent ([80/http/TCP] in c1, [81/http/TCP] in c2)."
        );
        assert_eq!(ports[0].object.origin(), "Service n/s");
        let protocols = found(
            "{ports: [{name: web, port: 80, appProtocol: http}]}",
            "{ports: [{name: web, port: 80, appProtocol: tcp}]}",
        );
        assert!(
            protocols[0].text.contains("[80/web/TCP/http] in c1, [80/web/TCP/tcp] in c2"),
            "{protocols:?}"
        );
        assert!(found("{clusterIP: None}", "{clusterIP: 10.0.0.1}")[0].text.contains(
            "service has mixed mode like headless and clusterIP (headless in c1, not headless in c2)"
        ));
        assert!(
            found("{type: NodePort}", "{}")[0]
                .text
                .contains("service type is inconsistent (ClusterIP in c2, NodePort in c1)")
        );
        assert!(
            found(
                "{clusterIP: 10.0.0.2, ports: [{port: 80}]}",
                "{clusterIP: 10.0.0.1, ports: [{port: 80, protocol: TCP}]}"
            )
            .is_empty()
        );
    }
}
