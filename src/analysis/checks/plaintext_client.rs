//! SGN0007: a pod without a proxy that is told, by its environment or arguments, to call a service whose workloads take only mutual TLS.
//! Its connections are refused.

use std::collections::BTreeSet;

use sagene_api::kubernetes::service::ServicePort;
use sagene_api::kubernetes::{Deployment, Pod, Service};
use sagene_api::{Object, ObjectMeta};
use sagene_model::Hostname;
use sagene_model::peer_authentication::{Mode, effective};
use sagene_model::workload;

use super::support::hosts::{Hosts, Source};
use super::support::mesh::Namespaces;
use super::support::pods::Pods;
use super::support::policy::workload_port;
use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::{Message, ObjectRef};

pub(super) const CHECK: Check = Check {
    name: "sagene.PlaintextClientAnalyzer",
    description: "Pods without a proxy that call services which take only mutual TLS",
    codes: &[Code::PlaintextClientOfStrictWorkload],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    // Without a policy nothing is strict.
    if input.snapshot.peer_authentications.is_empty() {
        return Vec::new();
    }
    let mesh =
        Mesh { input, hosts: Hosts::of(input), pods: Pods::of(input), namespaces: Namespaces::of(input) };
    let mut messages = Vec::new();
    for pod in input.snapshot.pods.iter().filter(|pod| mesh.is_plain(pod)) {
        messages.extend(mesh.of_client(&refer(pod.as_ref()), &pod.metadata, &pod.spec, "spec"));
    }
    // Where there are no pods, what pods will be made from counts.
    let templates = input.snapshot.deployments.iter().filter(|_| !input.knows::<Pod>());
    for deployment in templates.filter(|deployment| mesh.makes_plain(deployment)) {
        let template = &deployment.spec.template.spec;
        let reference = refer(deployment.as_ref());
        messages.extend(mesh.of_client(&reference, &deployment.metadata, template, "spec.template.spec"));
    }
    messages
}

struct Mesh<'i> {
    input: &'i Input,
    hosts: Hosts<'i>,
    pods: Pods<'i>,
    namespaces: Namespaces<'i>,
}

impl Mesh<'_> {
    fn is_plain(&self, pod: &Object<Pod>) -> bool {
        !workload::has_proxy(pod) && !workload::is_finished(pod) && !self.namespaces.holds(pod)
    }

    fn makes_plain(&self, deployment: &Object<Deployment>) -> bool {
        !self.namespaces.takes_in(&deployment.metadata.namespace, &deployment.spec.template.metadata)
    }

    fn of_client(&self, client: &ObjectRef, metadata: &ObjectMeta, pod: &Pod, prefix: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut told: BTreeSet<Hostname> = BTreeSet::new();
        for (path, text) in words(pod) {
            for (word, port) in hosts_in(text) {
                let Some(service) = self.strict(word, port, &metadata.namespace) else { continue };
                let host = Hostname::of_service(
                    &service.metadata.name,
                    &service.metadata.namespace,
                    &self.input.mesh.domain,
                );
                if !told.insert(host.clone()) {
                    continue;
                }
                let text = format!(
                    "{} {} has no proxy, but is told to call {host}, whose workloads take only mutual TLS (STRICT): its connections are refused.",
                    client.kind, client.name
                );
                let path = at(&format!("{prefix}.{path}"));
                messages
                    .push(Message::new(Code::PlaintextClientOfStrictWorkload, client.clone(), text).at(path));
            }
        }
        messages
    }

    /// The service that a word names, where its workloads are in the mesh and take only mutual TLS: at that port, or at all where none is
    /// named.
    fn strict(&self, word: &str, port: Option<u16>, namespace: &str) -> Option<&Object<Service>> {
        let Source::Service(service) = self.hosts.called(word, namespace, &self.input.mesh)? else {
            return None;
        };
        if service.spec.selector.is_empty() {
            return None;
        }
        let place = service.metadata.namespace.as_str();
        let mut pods = self.pods.select(Some(place), &service.spec.selector).peekable();
        let labels = pods.peek().map_or(&service.spec.selector, |pod| &pod.metadata.labels);
        let in_mesh = if self.input.knows::<Pod>() {
            let mut selected = self.pods.select(Some(place), &service.spec.selector);
            selected.any(|pod| workload::has_proxy(pod) || self.namespaces.is_ambient(pod))
        } else {
            self.namespaces.is_injected(place)
        };
        let modes = effective(&self.input.snapshot, &self.input.mesh, place, labels);
        let named = service.spec.ports.iter().filter(|declared| Some(declared.port) == port);
        let ports: Vec<&ServicePort> = if named.clone().next().is_some() {
            named.collect()
        } else {
            service.spec.ports.iter().collect()
        };
        let mode_of = |declared: &&ServicePort| {
            let target = workload_port(&self.pods, service, declared);
            target.map_or(modes.workload, |target| modes.of_port(target.workload))
        };
        let is_strict = ports.iter().all(|declared| mode_of(declared) == Mode::Strict);
        (in_mesh && !ports.is_empty() && is_strict).then_some(service.as_ref())
    }
}

/// What containers are told: values of their environment, commands and arguments, each with its place.
fn words(pod: &Pod) -> impl Iterator<Item = (String, &str)> {
    pod.containers.iter().enumerate().flat_map(|(index, container)| {
        let variables = container.env.iter().enumerate().map(move |(at, variable)| {
            (format!("containers[{index}].env[{at}].value"), variable.value.as_str())
        });
        let commands = container
            .command
            .iter()
            .enumerate()
            .map(move |(at, text)| (format!("containers[{index}].command[{at}]"), text.as_str()));
        let arguments = container
            .args
            .iter()
            .enumerate()
            .map(move |(at, text)| (format!("containers[{index}].args[{at}]"), text.as_str()));
        variables.chain(commands).chain(arguments)
    })
}

/// Hosts in a text, with their ports where it says so: what follows `//`, and words with a port.
fn hosts_in(text: &str) -> impl Iterator<Item = (&str, Option<u16>)> {
    let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
    let by_scheme = text.match_indices("//").map(move |(at, _)| {
        let rest = &text[at + 2..];
        let name = rest.split(|character: char| !is_name(character)).next().unwrap_or_default();
        let of_scheme =
            SCHEMES.iter().find(|(scheme, _)| text[..at].ends_with(scheme)).map(|(_, port)| *port);
        (name, port_at(&rest[name.len()..]).or(of_scheme))
    });
    let by_port = text.match_indices(':').filter_map(move |(at, _)| {
        let before = &text[..at];
        let port = port_at(&text[at..])?;
        let start = before.rfind(|character: char| !is_name(character)).map_or(0, |last| last + 1);
        Some((&before[start..], Some(port)))
    });
    let whole = std::iter::once(text).filter(move |text| text.contains('.') && text.chars().all(is_name));
    by_scheme.chain(by_port).chain(whole.map(|word| (word, None))).filter(|(word, _)| !word.is_empty())
}

/// Ports of URLs without one.
const SCHEMES: [(&str, u16); 2] = [("http:", 80), ("https:", 443)];

/// The port at the beginning of a text: `:80/path`.
fn port_at(text: &str) -> Option<u16> {
    let rest = text.strip_prefix(':')?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(mode: &str, value: &str, client: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{istio-injection: enabled}}}}\n---\n\
             apiVersion: v1\nkind: Namespace\nmetadata: {{name: legacy}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: cart, namespace: shop}}\nspec: {{selector: {{app: cart}}, ports: [{{port: 80}}]}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: s, namespace: shop, labels: {{app: cart}}}}\nspec: {{containers: [{{name: istio-proxy}}]}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p, namespace: shop}}\nspec: {{mtls: {{mode: {mode}}}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: c, namespace: legacy}}\nspec:\n  containers:\n  - name: {client}\n    env:\n    - name: CART\n      value: {value}\n"
        )
    }

    #[test]
    fn the_port_that_is_called_counts() {
        let open = |port: u16, value: &str| {
            yaml("STRICT", value, "app")
                .replace("ports: [{port: 80}]", "ports: [{port: 80, targetPort: 8080}, {port: 90}]")
                .replace(
                    "spec: {mtls: {mode: STRICT}}",
                    &format!("spec: {{selector: {{matchLabels: {{app: cart}}}}, mtls: {{mode: STRICT}}, portLevelMtls: {{{port}: {{mode: PERMISSIVE}}}}}}"),
                )
        };
        for (port, value, found) in [
            (8080, "http://cart.shop/api", 0),
            (8080, "http://cart.shop:90/api", 1),
            (8080, "cart.shop.svc", 0),
            (80, "http://cart.shop/api", 1),
            (90, "cart.shop:90", 0),
        ] {
            assert_eq!(findings(&CHECK, &open(port, value)).len(), found, "{port} {value}");
        }
    }

    #[test]
    fn clients_that_will_be_refused() {
        for value in ["http://cart.shop/api", "cart.shop.svc.cluster.local:80", "cart.shop.svc"] {
            assert_eq!(
                findings(&CHECK, &yaml("STRICT", value, "app")),
                ["SGN0007 Pod legacy/c@32"],
                "{value}"
            );
        }
        assert!(
            texts(&CHECK, &yaml("STRICT", "http://cart.shop/", "app"))[0]
                .starts_with("Pod c has no proxy, but is told to call cart.shop.svc.cluster.local,")
        );
        for (mode, value, client) in [
            ("PERMISSIVE", "http://cart.shop", "app"),
            ("STRICT", "http://cart", "app"),
            ("STRICT", "cart", "app"),
            ("STRICT", "http://cart.shop", "istio-proxy"),
        ] {
            assert!(findings(&CHECK, &yaml(mode, value, client)).is_empty(), "{mode} {value} {client}");
        }
    }
}
