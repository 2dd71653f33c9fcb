//! IST0101 and IST0112 for destinations: hosts that no service has, ports that the service does not have, and destinations that do not
//! say which of several ports.
//!
//! A host counts as there when a Service or ServiceEntry that is exported to the VirtualService's namespace has it, by its very name or
//! by a wildcard. A name without a dot is one of a service of the VirtualService's namespace; a service of another namespace has to be
//! named in full, for nobody completes `cart.shop`. Source: the documentation of the messages, of `exportTo` and of `Destination`.

use sagene_api::Object;
use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::common::Destination;

use super::support::destinations::{Place, destinations};
use super::support::hosts::{Hosts, Source, may_exist_elsewhere};
use super::support::words::{list, not_found, not_found_by, refer};
use super::{Check, Judge, Run};
use crate::code::Code;
use crate::input::Input;
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "virtualservice.DestinationHostAnalyzer",
    description: "Destinations whose host or port no service has",
    codes: &[Code::ReferencedResourceNotFound, Code::VirtualServiceDestinationPortSelectorRequired],
    how: Run::VirtualServices(judge),
};

/// Who has a host.
#[derive(Clone, Copy)]
enum Found<'i> {
    Here(Source<'i>),
    /// Nobody that was read, but not all was read that might.
    MaybeElsewhere,
    Nowhere,
}

fn look<'i>(hosts: &Hosts<'i>, host: &str, namespace: &str, input: &Input) -> Found<'i> {
    match hosts.visible(host, namespace, &input.mesh) {
        Some(source) => Found::Here(source),
        None if !hosts.is_offered(host, namespace, &input.mesh) && may_exist_elsewhere(host, input) => {
            Found::MaybeElsewhere
        }
        None => Found::Nowhere,
    }
}

fn judge(input: &Input) -> Option<Judge<'_>> {
    let hosts = Hosts::of(input);
    Some(Box::new(move |object, messages| {
        let namespace = object.metadata.namespace.as_str();
        let mut reference = None;
        // Mostly, the destinations of an object are of one host.
        let mut last: Option<(&str, Found<'_>)> = None;
        for (place, destination) in
            destinations(&object.spec).filter(|(_, destination)| !destination.host.is_empty())
        {
            let found = match last {
                Some((host, found)) if host == destination.host => found,
                _ => look(&hosts, &destination.host, namespace, input),
            };
            last = Some((&destination.host, found));
            match found {
                Found::Here(source) => messages.extend(of_port(object, place, destination, source)),
                Found::MaybeElsewhere => {}
                Found::Nowhere => {
                    let mirror = if place.is_mirror() { "mirror " } else { "" };
                    let reference = reference.get_or_insert_with(|| refer(object.as_ref())).clone();
                    messages.push(not_found_by(
                        reference,
                        &format!("{mirror}host"),
                        &destination.host,
                        place.path("host"),
                    ));
                }
            }
        }
    }))
}

fn of_port(
    object: &Object<VirtualService>,
    place: Place,
    destination: &Destination,
    source: Source<'_>,
) -> Option<Message> {
    let ports = source.ports();
    let Some(port) = destination.port.as_ref().map(|port| port.number).filter(|number| *number != 0) else {
        let text = format!(
            "This VirtualService routes to a service {:?} that exposes multiple ports {}. Specifying a port in the destination is required to \
             disambiguate.",
            destination.host,
            list(&ports)
        );
        let code = Code::VirtualServiceDestinationPortSelectorRequired;
        return (ports.len() > 1).then(|| Message::new(code, refer(object), text).at(place.path("host")));
    };
    // A service without ports (an alias, a passthrough) takes any.
    if ports.is_empty() || ports.contains(&port) {
        return None;
    }
    Some(not_found(object, "host:port", &format!("{}:{port}", destination.host), place.path("port.number")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const SERVICES: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n---\n\
        apiVersion: v1\nkind: Service\nmetadata: {name: own, namespace: shop, annotations: {networking.istio.io/exportTo: .}}\nspec: {ports: [{name: http, port: 80}, {name: grpc, port: 90}]}\n---\n\
        apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: infra}\nspec: {hosts: ['*.wild.io', one.io], ports: [{number: 443, name: tls, protocol: TLS}]}\n---\n";

    fn route(namespace: &str, destination: &str) -> String {
        format!(
            "{SERVICES}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: {namespace}}}\nspec:\n  hosts: [x.com]\n  \
             http:\n  - route:\n    - destination:\n        {destination}\n"
        )
    }

    #[test]
    fn hosts_by_every_name_they_have() {
        assert_eq!(findings(&CHECK, &route("shop", "host: basket")), ["IST0101 VirtualService shop/v@24"]);
        assert_eq!(texts(&CHECK, &route("shop", "host: basket")), ["Referenced host not found: \"basket\""]);
        for bad in [
            ("web", "host: cart"),
            ("web", "host: cart.shop"),
            ("web", "host: cart.shop.svc"),
            ("web", "host: own.shop.svc.cluster.local"),
            ("web", "host: wild.io"),
        ] {
            assert_eq!(findings(&CHECK, &route(bad.0, bad.1)).len(), 1, "{bad:?}");
        }
        for good in [
            ("shop", "host: cart"),
            ("web", "host: cart.shop.svc.cluster.local"),
            ("web", "host: a.b.wild.io"),
            ("web", "host: one.io"),
            ("shop", "{host: own, port: {number: 90}}"),
        ] {
            assert!(findings(&CHECK, &route(good.0, good.1)).is_empty(), "{good:?}");
        }
    }

    #[test]
    fn services_of_other_clusters_are_of_the_mesh() {
        let read = |yaml: &str| {
            let mut input = Input::default();
            assert!(crate::input::load(&mut input, "test.yaml", yaml.to_owned(), "default").is_empty());
            input
        };
        let mut input = read(&route("shop", "host: far"));
        assert_eq!(CHECK.run(&input).len(), 1);
        let far = "apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: shop}\nspec: {ports: [{port: 80}]}\n";
        input.remotes.insert("c2".to_owned(), read(far).snapshot);
        assert!(CHECK.run(&input).is_empty());
    }

    #[test]
    fn an_entry_for_other_namespaces_alone_is_no_host_here() {
        let found = |export_to: &str| {
            let yaml = format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: e, namespace: infra}}\nspec: {{hosts: [one.io], exportTo: [{export_to}], ports: \
                 [{{number: 443, name: tls, protocol: TLS}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: \
                 web}}\nspec: {{hosts: [x.com], http: [{{route: [{{destination: {{host: one.io}}}}]}}]}}\n"
            );
            let mut input = Input { files_alone: true, ..Input::default() };
            assert!(crate::input::load(&mut input, "test.yaml", yaml, "default").is_empty());
            CHECK.run(&input).len()
        };
        assert_eq!((found("infra"), found("web"), found("'*'")), (1, 0, 0));
    }

    #[test]
    fn what_comes_with_the_installation_is_in_no_file() {
        let found = |host: &str| {
            let mut input = Input { files_alone: true, ..Input::default() };
            let yaml = route("web", &format!("host: {host}"));
            assert!(crate::input::load(&mut input, "test.yaml", yaml, "default").is_empty());
            CHECK.run(&input).len()
        };
        assert_eq!(found("istio-egressgateway.istio-system.svc.cluster.local"), 0);
        assert_eq!(found("istio-egressgateway.web.svc.cluster.local"), 1);
        assert_eq!(found("istio-egress.istio-system.svc.cluster.local"), 1);
    }

    #[test]
    fn ports_that_are_not_there_or_not_named() {
        assert_eq!(
            texts(&CHECK, &route("shop", "{host: cart, port: {number: 81}}")),
            ["Referenced host:port not found: \"cart:81\""]
        );
        assert_eq!(
            texts(&CHECK, &route("shop", "{host: own}")),
            [
                "This VirtualService routes to a service \"own\" that exposes multiple ports [80 90]. Specifying a port in the destination is \
              required to disambiguate."
            ]
        );
        assert!(findings(&CHECK, &route("shop", "{host: cart, port: {number: 80}}")).is_empty());
    }

    #[test]
    fn tcp_tls_and_mirrors_count() {
        let routes = "  tls: [{match: [{sniHosts: [x.com]}], route: [{destination: {host: a}}]}]\n  tcp: [{route: [{destination: {host: b}}]}]\n  \
                      http:\n  - route: [{destination: {host: cart.shop.svc.cluster.local}}]\n    mirror: {host: c}\n    mirrors: [{destination: {host: d}}]\n";
        let yaml = format!(
            "{SERVICES}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: [x.com]\n{routes}"
        );
        assert_eq!(
            texts(&CHECK, &yaml),
            [
                "Referenced mirror host not found: \"c\"",
                "Referenced mirror host not found: \"d\"",
                "Referenced host not found: \"a\"",
                "Referenced host not found: \"b\""
            ]
        );
    }
}
