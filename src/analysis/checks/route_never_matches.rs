//! SGN0003: conditions of a route that no request can meet: a gateway that the VirtualService is not bound to, a path that does not begin
//! with `/`, a method in small letters, a host that is none of the VirtualService's, a header that has to be there and must not.

use std::collections::BTreeSet;

use sagene_api::Object;
use sagene_api::istio::networking::virtual_service::HttpMatchRequest;
use sagene_api::istio::networking::{Gateway, VirtualService};
use sagene_api::istio::types::StringMatch;
use sagene_model::Hostname;
use sagene_model::virtual_service::{MESH_GATEWAY, full_gateway};

use super::support::words::{list, refer};
use super::{Check, Judge, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;
use crate::path::FieldPath;

pub(super) const CHECK: Check = Check {
    name: "sagene.RouteNeverMatchesAnalyzer",
    description: "Conditions of routes that no request can meet",
    codes: &[Code::RouteNeverMatches],
    how: Run::VirtualServices(judge),
};

fn judge(input: &Input) -> Option<Judge<'_>> {
    Some(Box::new(move |object, messages| {
        // A delegate takes hosts and gateways from its root.
        let is_delegate = object.spec.hosts.is_empty();
        let mut add = |path: FieldPath, why: String| {
            let text = format!("This condition matches no request: {why}.");
            messages.push(Message::new(Code::RouteNeverMatches, refer(object.as_ref()), text).at(path));
        };
        for (index, route) in object.spec.http.iter().enumerate() {
            for (position, condition) in route.r#match.iter().enumerate() {
                let path = || at(&format!("spec.http[{index}].match[{position}]"));
                if let Some((field, why)) = impossible(condition) {
                    add(path().key(field), why);
                }
                if is_delegate {
                    continue;
                }
                if let Some((field, why)) = unbound(input, object, condition) {
                    add(path().key(field), why);
                }
            }
        }
        let streams = object.spec.tls.iter().enumerate().flat_map(|(index, route)| {
            let conditions = route.r#match.iter().enumerate();
            conditions.map(move |(at, it)| (format!("spec.tls[{index}].match[{at}].gateways"), &it.gateways))
        });
        let connections = object.spec.tcp.iter().enumerate().flat_map(|(index, route)| {
            let conditions = route.r#match.iter().enumerate();
            conditions.map(move |(at, it)| (format!("spec.tcp[{index}].match[{at}].gateways"), &it.gateways))
        });
        for (path, gateways) in streams.chain(connections) {
            if let Some(why) = foreign_gateways(object, gateways) {
                add(at(&path), why);
            }
        }
    }))
}

/// Conditions that contradict themselves or HTTP.
fn impossible(condition: &HttpMatchRequest) -> Option<(&'static str, String)> {
    if let Some(StringMatch::Exact(path) | StringMatch::Prefix(path)) = &condition.uri
        && !path.is_empty()
        && !path.starts_with(['/', '*'])
    {
        return Some(("uri", format!("paths begin with a slash, {path:?} does not")));
    }
    if let Some(StringMatch::Exact(method)) = &condition.method {
        let upper = method.to_ascii_uppercase();
        let is_common = matches!(
            upper.as_str(),
            "GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "PATCH" | "OPTIONS" | "CONNECT" | "TRACE"
        );
        if is_common && *method != upper {
            return Some(("method", format!("methods are compared with case, write {upper:?}")));
        }
    }
    let contradiction = condition.headers.iter().find(|(name, wanted)| {
        let refused = condition.without_headers.get(*name);
        refused.is_some_and(|refused| *refused == StringMatch::Empty || refused == *wanted)
    });
    contradiction.map(|(name, _)| {
        ("withoutHeaders", format!("the header {name:?} has to be there and must not be there"))
    })
}

/// Conditions on what the VirtualService is not bound to.
fn unbound(
    input: &Input,
    object: &Object<VirtualService>,
    condition: &HttpMatchRequest,
) -> Option<(&'static str, String)> {
    if let Some(why) = foreign_gateways(object, &condition.gateways) {
        return Some(("gateways", why));
    }
    if let Some(StringMatch::Exact(authority)) = &condition.authority {
        let name = authority.rsplit_once(':').map_or(authority.as_str(), |(name, _)| name);
        let resolve = |host: &String| Hostname::resolve(host, &object.metadata.namespace, &input.mesh.domain);
        // A service is called by its short names, too.
        let is_served = |host: &String| {
            let full = resolve(host);
            full.covers(&Hostname::new(name))
                || full.as_str().starts_with(&format!("{}.", name.to_ascii_lowercase()))
        };
        if !object.spec.hosts.iter().any(is_served) {
            return Some((
                "authority",
                format!("{authority:?} is none of the hosts {}", list(&object.spec.hosts)),
            ));
        }
    }
    let ports = gateway_ports(input, object)?;
    (condition.port != 0 && !ports.contains(&condition.port))
        .then(|| ("port", format!("its gateways serve the ports {}, not {}", list(&ports), condition.port)))
}

fn foreign_gateways(object: &Object<VirtualService>, gateways: &[String]) -> Option<String> {
    if gateways.is_empty() {
        return None;
    }
    let full = |gateway: &String| full_gateway(gateway, &object.metadata.namespace);
    let mesh = [MESH_GATEWAY.to_owned()];
    let bound = if object.spec.gateways.is_empty() { &mesh[..] } else { &object.spec.gateways };
    let bound: BTreeSet<String> = bound.iter().map(full).collect();
    let is_foreign = !gateways.iter().any(|gateway| bound.contains(&full(gateway)));
    is_foreign.then(|| format!("the VirtualService is bound to {}, not to {}", list(&bound), list(gateways)))
}

/// The ports of all its gateways; `None` where sidecars read it, or a gateway is not known.
fn gateway_ports(input: &Input, object: &Object<VirtualService>) -> Option<BTreeSet<u32>> {
    let mut ports = BTreeSet::new();
    if object.spec.gateways.is_empty() {
        return None;
    }
    for gateway in &object.spec.gateways {
        let full = full_gateway(gateway, &object.metadata.namespace);
        let (namespace, name) = full.split_once('/')?;
        let found = input.snapshot.get::<Gateway>(namespace, name)?;
        ports.extend(found.spec.servers.iter().map(|server| server.port.number));
    }
    Some(ports)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(gateways: &str, condition: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec: {{servers: [{{port: {{number: 80}}, hosts: ['*']}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: [cart, '*.a.com']\n  gateways: {gateways}\n  http:\n  - match:\n    - {condition}\n"
        )
    }

    #[test]
    fn what_no_request_meets() {
        for bad in [
            "uri: {prefix: cart}",
            "method: {exact: get}",
            "gateways: [mesh]",
            "authority: {exact: b.com}",
            "port: 8080",
            "{headers: {x: {exact: a}}, withoutHeaders: {x: {}}}",
        ] {
            let found = findings(&CHECK, &yaml("[g]", bad));
            assert!(
                found.len() == 1 && found[0].starts_with("SGN0003 VirtualService default/v@14"),
                "{bad} {found:?}"
            );
        }
        assert_eq!(
            texts(&CHECK, &yaml("[g]", "gateways: [mesh]")),
            ["This condition matches no request: the VirtualService is bound to [default/g], not to [mesh]."]
        );
    }

    #[test]
    fn what_some_request_meets() {
        for good in [
            "uri: {prefix: /cart}",
            "uri: {regex: cart}",
            "method: {exact: GET}",
            "gateways: [mesh, g]",
            "authority: {exact: 'x.a.com:8080'}",
            "authority: {exact: cart.default}",
            "port: 80",
            "{headers: {x: {exact: a}}, withoutHeaders: {x: {exact: b}}}",
        ] {
            assert!(findings(&CHECK, &yaml("[default/g]", good)).is_empty(), "{good}");
        }
        assert!(findings(&CHECK, &yaml("[g, mesh]", "port: 8080")).is_empty());
    }
}
