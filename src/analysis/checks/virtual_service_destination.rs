//! IST0101 for destinations: hosts that no service has, subsets that no DestinationRule defines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::common::Destination;
use sagene_api::kubernetes;
use sagene_model::{Hostname, Service, service};

use super::Check;
use crate::code::Code;
use crate::input::{Input, at, reference};
use crate::message::Message;
use crate::path::FieldPath;

pub(super) const HOST: Check = Check {
    name: "virtualservice.DestinationHostAnalyzer",
    description: "Routes to hosts that no service has",
    codes: &[Code::ReferencedResourceNotFound],
    run: hosts,
};

pub(super) const SUBSET: Check = Check {
    name: "virtualservice.DestinationRuleAnalyzer",
    description: "Routes to subsets that no DestinationRule defines",
    codes: &[Code::ReferencedResourceNotFound],
    run: subsets,
};

/// Every destination of a VirtualService with its place; true for mirrors.
fn destinations(service: &VirtualService) -> Vec<(FieldPath, &Destination, bool)> {
    let mut found = Vec::new();
    for (index, route) in service.http.iter().enumerate() {
        let path = at("spec.http").index(index);
        for (position, weighted) in route.route.iter().enumerate() {
            found.push((path.key("route").index(position).key("destination"), &weighted.destination, false));
        }
        found.extend(route.mirror.iter().map(|mirror| (path.key("mirror"), mirror, true)));
        for (position, mirror) in route.mirrors.iter().enumerate() {
            found.push((path.key("mirrors").index(position).key("destination"), &mirror.destination, true));
        }
    }
    for (index, route) in service.tls.iter().enumerate() {
        for (position, weighted) in route.route.iter().enumerate() {
            found.push((
                at("spec.tls").index(index).key("route").index(position).key("destination"),
                &weighted.destination,
                false,
            ));
        }
    }
    for (index, route) in service.tcp.iter().enumerate() {
        for (position, weighted) in route.route.iter().enumerate() {
            found.push((
                at("spec.tcp").index(index).key("route").index(position).key("destination"),
                &weighted.destination,
                false,
            ));
        }
    }
    found
}

/// Hosts of all services, exact and wildcard.
struct Known {
    exact: BTreeMap<Hostname, Vec<Service>>,
    wildcards: Vec<Service>,
}

impl Known {
    fn of(input: &Input) -> Self {
        let mut known = Self { exact: BTreeMap::new(), wildcards: Vec::new() };
        let of_kubernetes =
            input.snapshot.services.iter().map(|object| service::of_kubernetes(object, &input.mesh));
        let of_entries =
            input.snapshot.service_entries.iter().flat_map(|object| service::of_service_entry(object));
        for service in of_kubernetes.chain(of_entries) {
            if service.hostname.is_wildcard() {
                known.wildcards.push(service);
            } else {
                known.exact.entry(service.hostname.clone()).or_default().push(service);
            }
        }
        known
    }

    fn is_visible(&self, host: &Hostname, namespace: &str, input: &Input) -> bool {
        let candidates = self.exact.get(host).into_iter().flatten();
        let candidates =
            candidates.chain(self.wildcards.iter().filter(|service| service.hostname.covers(host)));
        candidates.into_iter().any(|service| {
            let default = &input.mesh.default_service_export_to;
            sagene_model::visibility::is_visible(&service.export_to, default, &service.namespace, namespace)
        })
    }
}

fn hosts(input: &Input) -> Vec<Message> {
    if !input.knows::<kubernetes::Service>() {
        return Vec::new();
    }
    let known = Known::of(input);
    let mut messages = Vec::new();
    for object in input.snapshot.virtual_services.iter() {
        let namespace = &object.metadata.namespace;
        for (path, destination, mirror) in destinations(&object.spec) {
            let host = Hostname::resolve(&destination.host, namespace, &input.mesh.domain);
            // A name of two or three parts may be short for a service of another namespace.
            let longer = Hostname::new(&format!("{host}.svc.{}", input.mesh.domain));
            let longest = Hostname::new(&format!("{host}.{}", input.mesh.domain));
            if [&host, &longer, &longest].into_iter().any(|name| known.is_visible(name, namespace, input)) {
                continue;
            }
            let what = if mirror { "mirror host" } else { "host" };
            messages.push(not_found(object, what, &destination.host).at(path.key("host")));
        }
    }
    messages
}

fn not_found(object: &Arc<Object<VirtualService>>, what: &str, name: &str) -> Message {
    Message::new(
        Code::ReferencedResourceNotFound,
        reference(object),
        format!("Referenced {what} not found: {name:?}"),
    )
}

fn subsets(input: &Input) -> Vec<Message> {
    let mut defined: BTreeSet<(Hostname, &str)> = BTreeSet::new();
    let mut wildcards: Vec<(Hostname, &str)> = Vec::new();
    for rule in input.snapshot.destination_rules.iter() {
        let host = Hostname::resolve(&rule.spec.host, &rule.metadata.namespace, &input.mesh.domain);
        for subset in &rule.spec.subsets {
            if host.is_wildcard() {
                wildcards.push((host.clone(), &subset.name));
            } else {
                defined.insert((host.clone(), &subset.name));
            }
        }
    }
    let mut messages = Vec::new();
    for object in input.snapshot.virtual_services.iter() {
        for (path, destination, mirror) in destinations(&object.spec)
            .into_iter()
            .filter(|(_, destination, _)| !destination.subset.is_empty())
        {
            let host = Hostname::resolve(&destination.host, &object.metadata.namespace, &input.mesh.domain);
            let by_wildcard =
                || wildcards.iter().any(|(rule, subset)| *subset == destination.subset && rule.covers(&host));
            if defined.contains(&(host.clone(), destination.subset.as_str())) || by_wildcard() {
                continue;
            }
            let what =
                if mirror { "mirror+subset in destinationrule" } else { "host+subset in destinationrule" };
            let name = format!("{}+{}", destination.host, destination.subset);
            messages.push(not_found(object, what, &name).at(path.key("subset")));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n---\n";
    const RULE: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: cart, namespace: shop}\nspec: {host: cart, subsets: [{name: v1}]}\n---\n";

    fn route(namespace: &str, destination: &str) -> String {
        format!(
            "{SERVICE}{RULE}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: {namespace}}}\nspec:\n  hosts: [x.com]\n  \
             http:\n  - route:\n    - destination:\n        {destination}\n"
        )
    }

    #[test]
    fn hosts_by_every_name_they_have() {
        assert_eq!(findings(&HOST, &route("shop", "host: basket")), ["IST0101 VirtualService shop/v@19"]);
        assert_eq!(texts(&HOST, &route("shop", "host: basket")), ["Referenced host not found: \"basket\""]);
        assert_eq!(findings(&HOST, &route("web", "host: cart")).len(), 1);
        for good in [
            ("shop", "host: cart"),
            ("web", "host: cart.shop"),
            ("web", "host: cart.shop.svc"),
            ("web", "host: cart.shop.svc.cluster.local"),
        ] {
            assert!(findings(&HOST, &route(good.0, good.1)).is_empty(), "{good:?}");
        }
    }

    #[test]
    fn subsets_have_to_be_defined() {
        assert!(findings(&SUBSET, &route("shop", "{host: cart, subset: v1}")).is_empty());
        assert_eq!(
            texts(&SUBSET, &route("shop", "{host: cart, subset: v9}")),
            ["Referenced host+subset in destinationrule not found: \"cart+v9\""]
        );
    }
}
