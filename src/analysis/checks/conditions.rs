//! IST0171: an object whose status says that something about it did not work out.
//!
//! What is read: `WaypointBound` of Services, ServiceEntries and WorkloadEntries; `ZtunnelAccepted` and `WaypointAccepted` of
//! AuthorizationPolicies, also where only a part was taken; `Accepted`, `Programmed` and `ResolvedRefs` of the Gateway API's Gateways,
//! HTTPRoutes and GRPCRoutes.

use sagene_api::{Object, Resource, shape};
use sagene_model::snapshot::Collected;
use serde_json::Value;

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;
use sagene_api::gateway_api::{GrpcRoute, HttpRoute, KubernetesGateway};
use sagene_api::istio::networking::{ServiceEntry, WorkloadEntry};
use sagene_api::istio::security::AuthorizationPolicy;
use sagene_api::kubernetes::Service;

pub(super) const CHECK: Check = Check {
    name: "conditions.ConditionAnalyzer",
    description: "Objects whose status says that something did not work out",
    codes: &[Code::NegativeConditionStatus],
    how: Run::Whole(run),
};

const WAYPOINT: &[&str] = &["istio.io/WaypointBound", "WaypointBound"];
const POLICY: &[&str] = &["ZtunnelAccepted", "WaypointAccepted"];
const GATEWAY_API: &[&str] = &["Accepted", "Programmed", "ResolvedRefs"];
/// Reason of a condition that is true, though not for everything.
const IN_PART: &str = "PartiallyInvalid";

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    of_kind::<Service>(input, WAYPOINT, &mut messages);
    of_kind::<ServiceEntry>(input, WAYPOINT, &mut messages);
    of_kind::<WorkloadEntry>(input, WAYPOINT, &mut messages);
    of_kind::<AuthorizationPolicy>(input, POLICY, &mut messages);
    of_kind::<KubernetesGateway>(input, GATEWAY_API, &mut messages);
    of_kind::<HttpRoute>(input, GATEWAY_API, &mut messages);
    of_kind::<GrpcRoute>(input, GATEWAY_API, &mut messages);
    messages
}

fn of_kind<S: Collected>(input: &Input, types: &[&str], messages: &mut Vec<Message>) {
    for object in S::collection(&input.snapshot).iter() {
        let Some(status) = &object.status else { continue };
        let status = shape::to_value(status);
        of_list(object, &status["conditions"], "status.conditions", types, messages);
        // Routes have a status for each parent, Gateways one for each listener.
        for (list, name) in [(&status["parents"], "parents"), (&status["listeners"], "listeners")] {
            for (index, entry) in list.as_array().into_iter().flatten().enumerate() {
                let path = format!("status.{name}[{index}].conditions");
                of_list(object, &entry["conditions"], &path, types, messages);
            }
        }
    }
}

fn of_list<S: Resource>(
    object: &Object<S>,
    conditions: &Value,
    path: &str,
    types: &[&str],
    messages: &mut Vec<Message>,
) {
    for (index, condition) in conditions.as_array().into_iter().flatten().enumerate() {
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        let is_negative =
            text("status") == "False" || (text("status") == "True" && text("reason") == IN_PART);
        if !is_negative || !types.contains(&text("type")) {
            continue;
        }
        let words = format!(
            "A condition with a negative status is present: type={}, reason={}, message={}.",
            text("type"),
            text("reason"),
            text("message")
        );
        let path = at(&format!("{path}[{index}].status"));
        messages.push(Message::new(Code::NegativeConditionStatus, refer(object), words).at(path));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn policy(condition: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\nspec: {{}}\nstatus:\n  conditions:\n  - {condition}\n"
        )
    }

    #[test]
    fn negative_conditions_of_the_types_that_count() {
        let refused =
            "{type: WaypointAccepted, status: 'False', reason: TargetNotFound, message: no such thing}";
        assert_eq!(findings(&CHECK, &policy(refused)), ["IST0171 AuthorizationPolicy default/a@7"]);
        assert_eq!(
            texts(&CHECK, &policy(refused)),
            [
                "A condition with a negative status is present: type=WaypointAccepted, reason=TargetNotFound, message=no such thing."
            ]
        );
        assert_eq!(
            findings(&CHECK, &policy("{type: ZtunnelAccepted, status: 'True', reason: PartiallyInvalid}"))
                .len(),
            1
        );
        for good in [
            "{type: ZtunnelAccepted, status: 'True', reason: Accepted}",
            "{type: Reconciled, status: 'False'}",
        ] {
            assert!(findings(&CHECK, &policy(good)).is_empty(), "{good}");
        }
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {}\nstatus: {conditions: [{type: istio.io/WaypointBound, status: 'False', reason: r, message: m}]}\n";
        assert_eq!(findings(&CHECK, service).len(), 1);
        let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {}\nstatus: {parents: [{conditions: [{type: ResolvedRefs, status: 'False', reason: r}]}]}\n";
        assert_eq!(findings(&CHECK, route).len(), 1);
    }
}
