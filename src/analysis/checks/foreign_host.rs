//! SGN0015: a VirtualService of the mesh for a service of another namespace: it routes the calls of every client that sees it. That is by
//! design, and how one team takes over another's traffic. Source: bulletin ISTIO-SECURITY-2026-002.

use sagene_model::Hostname;
use sagene_model::visibility::is_visible;

use super::mesh_gateway_hosts::is_of_mesh;
use super::support::hosts::{Hosts, Source};
use super::support::words::{key, refer};
use super::{Check, Judge, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.ForeignHostAnalyzer",
    description: "VirtualServices that route calls to a service of another namespace, for all clients",
    codes: &[Code::VirtualServiceTakesHostOfOtherNamespace],
    how: Run::VirtualServices(judge),
};

fn judge(input: &Input) -> Option<Judge<'_>> {
    let hosts = Hosts::of(input);
    // What only its own namespace sees is that namespace's affair; the root namespace is the operator's.
    let default = &input.mesh.default_virtual_service_export_to;
    Some(Box::new(move |object, messages| {
        let namespace = object.metadata.namespace.as_str();
        if !is_of_mesh(&object.spec) || namespace == input.mesh.root_namespace {
            return;
        }
        let elsewhere = |place: &str| is_visible(&object.spec.export_to, default, namespace, place);
        for (index, written) in object.spec.hosts.iter().enumerate() {
            let host = Hostname::resolve(written, namespace, &input.mesh.domain);
            let owner = hosts.find(&host).find_map(|source| match source {
                Source::Service(service) if service.metadata.namespace != namespace => Some(service),
                _ => None,
            });
            let Some(owner) = owner.filter(|owner| elsewhere(&owner.metadata.namespace)) else { continue };
            let text = format!(
                "VirtualService {} routes calls to Service {} of another namespace, also those of that namespace's own clients. Set exportTo to \
                 [\".\"] where only clients of {namespace} are meant.",
                key(&object.metadata),
                key(&owner.metadata)
            );
            let path = at("spec.hosts").index(index);
            let code = Code::VirtualServiceTakesHostOfOtherNamespace;
            messages.push(Message::new(code, refer(object.as_ref()), text).at(path));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn yaml(namespace: &str, rest: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: pay, namespace: bank}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: {namespace}}}\nspec:\n  hosts: [pay.bank.svc.cluster.local]\n  {rest}\n"
        )
    }

    #[test]
    fn services_of_others() {
        assert_eq!(findings(&CHECK, &yaml("shop", "http: []")), ["SGN0015 VirtualService shop/v@10"]);
        for (namespace, rest) in [
            ("bank", "http: []"),
            ("istio-system", "http: []"),
            ("shop", "exportTo: [.]"),
            ("shop", "gateways: [g]"),
        ] {
            assert!(findings(&CHECK, &yaml(namespace, rest)).is_empty(), "{namespace} {rest}");
        }
    }
}
