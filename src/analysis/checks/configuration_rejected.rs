//! SGN0012: an object that the running mesh did not take. The control plane says so in its status (`Reconciled` is False); what was in
//! force before stays.

use sagene_model::snapshot::Collected;

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::Input;
use crate::message::Message;
use sagene_api::istio::extensions::WasmPlugin;
use sagene_api::istio::networking::{
    DestinationRule, EnvoyFilter, Gateway, ProxyConfig, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
    WorkloadGroup,
};
use sagene_api::istio::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
use sagene_api::istio::status::IstioCondition;
use sagene_api::istio::telemetry::Telemetry;
use sagene_api::istio::{IstioStatus, networking::service_entry::ServiceEntryStatus};

pub(super) const CHECK: Check = Check {
    name: "sagene.ConfigurationRejectedAnalyzer",
    description: "Objects that the running mesh did not take",
    codes: &[Code::ConfigurationRejected],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    macro_rules! each {
        ($($kind:ty),+) => {$(of_kind::<$kind>(input, &mut messages);)+};
    }
    each!(
        VirtualService,
        DestinationRule,
        Gateway,
        ServiceEntry,
        WorkloadEntry,
        WorkloadGroup,
        Sidecar,
        EnvoyFilter,
        ProxyConfig,
        PeerAuthentication,
        RequestAuthentication,
        AuthorizationPolicy,
        Telemetry,
        WasmPlugin
    );
    messages
}

/// A status with conditions.
trait Conditions {
    fn conditions(&self) -> &[IstioCondition];
}

impl Conditions for IstioStatus {
    fn conditions(&self) -> &[IstioCondition] {
        &self.conditions
    }
}

impl Conditions for ServiceEntryStatus {
    fn conditions(&self) -> &[IstioCondition] {
        &self.conditions
    }
}

fn of_kind<S: Collected>(input: &Input, messages: &mut Vec<Message>)
where
    S::Status: Conditions,
{
    for object in S::collection(&input.snapshot).iter() {
        let conditions = object.status.as_ref().map(Conditions::conditions).unwrap_or_default();
        let Some(refused) = conditions.iter().find(|it| it.r#type == "Reconciled" && it.status == "False")
        else {
            continue;
        };
        let reason = [&refused.reason, &refused.message]
            .map(String::as_str)
            .into_iter()
            .filter(|words| !words.is_empty());
        let text = format!(
            "The running mesh did not take this {}: {}",
            S::KIND,
            reason.collect::<Vec<_>>().join(": ")
        );
        messages.push(Message::new(Code::ConfigurationRejected, refer(object.as_ref()), text));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::texts;
    use super::*;

    #[test]
    fn what_the_control_plane_says() {
        let yaml = |status: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: s}}\nspec: {{}}\nstatus: {{conditions: [{{type: Reconciled, status: '{status}', reason: Invalid, message: no such field}}]}}\n"
            )
        };
        assert_eq!(
            texts(&CHECK, &yaml("False")),
            ["The running mesh did not take this Sidecar: Invalid: no such field"]
        );
        assert!(texts(&CHECK, &yaml("True")).is_empty());
    }
}
