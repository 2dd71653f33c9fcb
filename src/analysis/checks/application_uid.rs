//! IST0144: an application that runs as user 1337, the proxy's: its traffic is not captured.

use sagene_api::kubernetes::Pod;
use sagene_api::kubernetes::pod::SecurityContext;
use sagene_model::labels::Labels;

use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "applicationUID.Analyzer",
    description: "Applications that run as the proxy's user",
    codes: &[Code::InvalidApplicationUID],
    how: Run::Whole(run),
};

/// The proxy's user.
const PROXY_USER: i64 = 1337;
/// Containers that are the mesh's own.
const OWN_CONTAINERS: [&str; 3] = ["istio-proxy", "istio-init", "istio-validation"];

fn run(input: &Input) -> Vec<Message> {
    let text = || format!("User ID (UID) {PROXY_USER} is reserved for the sidecar proxy.");
    let mut messages = Vec::new();
    for pod in input.snapshot.pods.iter().filter(|pod| !is_of_control_plane(&pod.metadata.labels)) {
        if let Some(path) = offending(&pod.spec) {
            let message = Message::new(Code::InvalidApplicationUID, refer(pod.as_ref()), text());
            messages.push(message.at(at(&format!("spec.{path}"))));
        }
    }
    // Where there are no pods, what pods will be made from counts.
    let templates = input.snapshot.deployments.iter().filter(|_| !input.knows::<Pod>());
    for deployment in templates.filter(|it| !is_of_control_plane(&it.spec.template.metadata.labels)) {
        if let Some(path) = offending(&deployment.spec.template.spec) {
            let message = Message::new(Code::InvalidApplicationUID, refer(deployment.as_ref()), text());
            messages.push(message.at(at(&format!("spec.template.spec.{path}"))));
        }
    }
    messages
}

/// What Istio's charts install runs as that user on purpose, beside no proxy.
fn is_of_control_plane(labels: &Labels) -> bool {
    let is = |key: &str, value: &str| labels.get(key).is_some_and(|own| own == value);
    labels.contains_key("istio") || is("app", "istiod") || is("release", "istio")
}

fn offending(pod: &Pod) -> Option<String> {
    let is_proxy_user = |context: &Option<SecurityContext>| {
        context.as_ref().and_then(|context| context.run_as_user) == Some(PROXY_USER)
    };
    let mut applications = pod
        .containers
        .iter()
        .enumerate()
        .filter(|(_, container)| !OWN_CONTAINERS.contains(&container.name.as_str()));
    // A gateway's pod holds nothing but the proxy.
    applications.clone().next()?;
    if is_proxy_user(&pod.security_context) {
        return Some("securityContext.runAsUser".to_owned());
    }
    let (index, _) = applications.find(|(_, container)| is_proxy_user(&container.security_context))?;
    Some(format!("containers[{index}].securityContext.runAsUser"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn found(spec: &str) -> Vec<String> {
        findings(&CHECK, &format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  {spec}\n"))
    }

    #[test]
    fn applications_but_not_the_proxy() {
        assert_eq!(
            found("containers:\n  - name: app\n    securityContext:\n      runAsUser: 1337"),
            ["IST0144 Pod default/p@8"]
        );
        assert_eq!(found("{securityContext: {runAsUser: 1337}, containers: [{name: app}]}").len(), 1);
        for good in [
            "{containers: [{name: app, securityContext: {runAsUser: 1338}}, {name: istio-proxy, securityContext: {runAsUser: 1337}}]}",
            "{securityContext: {runAsUser: 1337}, containers: [{name: istio-proxy}]}",
            "{containers: [{name: app}]}",
        ] {
            assert!(found(good).is_empty(), "{good}");
        }
        let control_plane = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: istiod, istio: pilot}}\nspec: {containers: [{name: discovery, securityContext: {runAsUser: 1337}}]}\n";
        assert!(findings(&CHECK, control_plane).is_empty());
    }
}
