//! SGN0006: a DestinationRule whose TLS mode the workloads behind the host do not take: plaintext where only mutual TLS is accepted
//! (STRICT), mutual TLS where only plaintext is (DISABLE), and mutual TLS to pods without a proxy.

use std::collections::BTreeSet;

use sagene_api::Object;
use sagene_api::istio::networking::DestinationRule;
use sagene_api::istio::networking::traffic_policy::{ClientTlsMode, ClientTlsSettings};
use sagene_api::kubernetes::service::ServicePort;
use sagene_api::kubernetes::{Pod, Service};
use sagene_model::Hostname;
use sagene_model::peer_authentication::{Mode, effective};
use sagene_model::workload;

use super::support::hosts::{Hosts, Source};
use super::support::mesh::Namespaces;
use super::support::pods::{PodRef, Pods};
use super::support::policy::workload_port;
use super::support::words::{key, refer};
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.MutualTlsConflictAnalyzer",
    description: "DestinationRules whose TLS mode the service's workloads do not take",
    codes: &[Code::MtlsPolicyConflict],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mesh =
        Mesh { input, hosts: Hosts::of(input), pods: Pods::of(input), namespaces: Namespaces::of(input) };
    input.snapshot.destination_rules.iter().flat_map(|rule| mesh.of_rule(rule)).collect()
}

struct Mesh<'i> {
    input: &'i Input,
    hosts: Hosts<'i>,
    pods: Pods<'i>,
    namespaces: Namespaces<'i>,
}

impl<'i> Mesh<'i> {
    fn of_rule(&self, rule: &Object<DestinationRule>) -> Vec<Message> {
        let Some(policy) = &rule.spec.traffic_policy else { return Vec::new() };
        let mut settings: Vec<(String, Option<u32>, &ClientTlsSettings)> = policy
            .port_level_settings
            .iter()
            .enumerate()
            .filter_map(|(index, port)| {
                let number = port.port.as_ref()?.number;
                let path = format!("spec.trafficPolicy.portLevelSettings[{index}].tls.mode");
                Some((path, Some(number), port.tls.as_ref()?))
            })
            .collect();
        settings.extend(policy.tls.iter().map(|tls| ("spec.trafficPolicy.tls.mode".to_owned(), None, tls)));
        settings
            .retain(|(_, _, tls)| matches!(tls.mode, ClientTlsMode::Disable | ClientTlsMode::IstioMutual));
        if settings.is_empty() {
            return Vec::new();
        }
        let services = self.services(rule);
        // A port with settings of its own takes nothing from those of the host.
        let own: BTreeSet<u32> =
            policy.port_level_settings.iter().filter_map(|it| Some(it.port.as_ref()?.number)).collect();
        let conflict = |(path, port, tls): &(String, Option<u32>, &ClientTlsSettings)| {
            let (service, words) = services
                .iter()
                .find_map(|service| Some((service, self.conflict(service, *port, &own, tls)?)))?;
            let host = Hostname::of_service(
                &service.metadata.name,
                &service.metadata.namespace,
                &self.input.mesh.domain,
            );
            let text = format!(
                "A DestinationRule and a PeerAuthentication are in conflict with regards to mTLS for host {host}. The DestinationRule {:?} {words}",
                key(&rule.metadata)
            );
            Some(Message::new(Code::MtlsPolicyConflict, refer(rule), text).at(at(path)))
        };
        settings.iter().filter_map(conflict).collect()
    }

    /// The services that a rule is about.
    fn services(&self, rule: &Object<DestinationRule>) -> Vec<&'i Object<Service>> {
        let namespace = &rule.metadata.namespace;
        let mesh = &self.input.mesh;
        let host = Hostname::resolve(&rule.spec.host, namespace, &mesh.domain);
        let sources: Vec<Source<'i>> = if host.is_wildcard() {
            self.hosts.below(&host).collect()
        } else {
            self.hosts.find(&host).collect()
        };
        let services = sources.into_iter().filter_map(|source| match source {
            Source::Service(service) => Some(service.as_ref()),
            Source::Entry(_) => None,
        });
        services.collect()
    }

    /// What fails at a port of the service, or at any but those that have `own` settings.
    fn conflict(
        &self,
        service: &Object<Service>,
        port: Option<u32>,
        own: &BTreeSet<u32>,
        tls: &ClientTlsSettings,
    ) -> Option<String> {
        // What selects no pods (the API server's Service, an alias) is no workload of the mesh.
        if service.spec.selector.is_empty() {
            return None;
        }
        let namespace = service.metadata.namespace.as_str();
        let pods: Vec<PodRef<'i>> = self.pods.select(Some(namespace), &service.spec.selector).collect();
        let is_plain = |pod: &PodRef<'i>| !workload::has_proxy(pod) && !self.namespaces.is_ambient(pod);
        let all_plain = self.input.knows::<Pod>() && !pods.is_empty() && pods.iter().all(is_plain);
        if all_plain {
            let words = "sends mTLS, but the pods of the service have no proxy: connections will fail.";
            return (tls.mode == ClientTlsMode::IstioMutual).then(|| words.to_owned());
        }
        // The mode of the pods counts; the selector has the labels that all of them share.
        let labels = pods.first().map_or(&service.spec.selector, |pod| &pod.metadata.labels);
        let modes = effective(&self.input.snapshot, &self.input.mesh, namespace, labels);
        let concerned = |declared: &&ServicePort| {
            let number = u32::from(declared.port);
            declared.protocol != "UDP" && port.map_or(!own.contains(&number), |port| port == number)
        };
        let ports = service.spec.ports.iter().filter(concerned);
        ports
            .map(|declared| workload_port(&self.pods, service, declared))
            .map(|target| target.map_or(modes.workload, |target| modes.of_port(target.workload)))
            .find_map(|mode| failure(tls.mode, mode))
            .map(str::to_owned)
    }
}

/// What happens where a client of this mode meets a server of that.
const fn failure(client: ClientTlsMode, server: Mode) -> Option<&'static str> {
    match (client, server) {
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
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(client: &str, server: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: cart}}\nspec: {{clusterIP: 10.0.0.1, selector: {{app: cart}}, ports: [{{port: 80, targetPort: 8080}}]}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p}}\nspec: {server}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec:\n  host: '*.svc.cluster.local'\n  trafficPolicy:\n    {client}\n"
        )
    }

    fn both(client: &str, server: &str) -> String {
        yaml(&format!("tls: {{mode: {client}}}"), &format!("{{mtls: {{mode: {server}}}}}"))
    }

    #[test]
    fn plaintext_against_strict_and_the_other_way_round() {
        assert_eq!(findings(&CHECK, &both("DISABLE", "STRICT")), ["SGN0006 DestinationRule default/d@17"]);
        assert_eq!(findings(&CHECK, &both("ISTIO_MUTUAL", "DISABLE")).len(), 1);
        for (client, server) in [("DISABLE", "PERMISSIVE"), ("ISTIO_MUTUAL", "STRICT"), ("SIMPLE", "STRICT")]
        {
            assert!(findings(&CHECK, &both(client, server)).is_empty());
        }
    }

    #[test]
    fn single_ports_and_pods_without_proxy() {
        let of_port = "portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]";
        let ports = |port: u16| {
            format!(
                "{{selector: {{matchLabels: {{app: cart}}}}, mtls: {{mode: PERMISSIVE}}, portLevelMtls: {{{port}: {{mode: STRICT}}}}}}"
            )
        };
        assert_eq!(findings(&CHECK, &yaml(of_port, &ports(8080))).len(), 1);
        assert!(findings(&CHECK, &yaml(of_port, &ports(80))).is_empty());
        let strict_but = |port: u16| ports(port).replace("STRICT", "DISABLE").replace("PERMISSIVE", "STRICT");
        let plain = "tls: {mode: DISABLE}";
        assert!(
            findings(&CHECK, &yaml(plain, &strict_but(8080))).is_empty(),
            "its only port takes plaintext"
        );
        assert_eq!(findings(&CHECK, &yaml(plain, &strict_but(9090))).len(), 1);
        let own = "portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnections: 1}}}]";
        assert!(findings(&CHECK, &yaml(&format!("{plain}\n    {own}"), &strict_but(9090))).is_empty());
        let pod = |name: &str| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{app: cart}}}}\nspec: {{containers: [{{name: {name}}}]}}\n"
            )
        };
        let found = texts(&CHECK, &(both("ISTIO_MUTUAL", "PERMISSIVE") + &pod("app")));
        assert!(
            found[0].ends_with("the pods of the service have no proxy: connections will fail."),
            "{found:?}"
        );
        assert!(findings(&CHECK, &(both("ISTIO_MUTUAL", "PERMISSIVE") + &pod("istio-proxy"))).is_empty());
    }
}
