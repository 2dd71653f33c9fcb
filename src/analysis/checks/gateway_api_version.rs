//! IST0176: CustomResourceDefinitions of the Gateway API that are too old for their kind to be read.

use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "k8sgateway.CRDVersionAnalyzer",
    description: "CustomResourceDefinitions of the Gateway API that are too old",
    codes: &[Code::GatewayAPICRDVersionBelowMinimum],
    how: Run::Whole(run),
};

/// Annotation with the release that a definition is of.
const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";

/// First release of each definition that is read.
const MINIMUM: &[(&str, (u64, u64))] = &[
    ("grpcroutes.gateway.networking.k8s.io", (1, 1)),
    ("backendtlspolicies.gateway.networking.k8s.io", (1, 4)),
    ("tlsroutes.gateway.networking.k8s.io", (1, 5)),
    ("tcproutes.gateway.networking.k8s.io", (1, 6)),
];

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for (object, value) in
        input.untyped.iter().filter(|(object, _)| object.kind == "CustomResourceDefinition")
    {
        let Some((_, minimum)) = MINIMUM.iter().find(|(name, _)| *name == object.name) else { continue };
        let version = value["metadata"]["annotations"][BUNDLE_VERSION].as_str().unwrap_or_default();
        if parse(version).is_none_or(|version| version >= *minimum) {
            continue;
        }
        let text = format!(
            "Gateway API CRD {:?} is at version {version:?} but Istio requires at least \"v{}.{}.0\"; resources of this kind will not be \
             processed. Upgrade the Gateway API CRDs to satisfy the minimum version.",
            object.name, minimum.0, minimum.1
        );
        let path = at("metadata.annotations").key(BUNDLE_VERSION);
        messages.push(Message::new(Code::GatewayAPICRDVersionBelowMinimum, object.clone(), text).at(path));
    }
    messages
}

/// The first two numbers of `v1.2.3-rc.1`.
fn parse(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    #[test]
    fn releases_that_are_too_old() {
        let yaml = |plural: &str, version: &str| {
            format!(
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {plural}.gateway.networking.k8s.io\n  annotations:\n    gateway.networking.k8s.io/bundle-version: {version}\nspec: {{}}\n"
            )
        };
        let old = yaml("grpcroutes", "v1.0.0");
        assert_eq!(
            findings(&CHECK, &old),
            ["IST0176 CustomResourceDefinition grpcroutes.gateway.networking.k8s.io@6"]
        );
        assert!(
            texts(&CHECK, &old)[0]
                .contains("is at version \"v1.0.0\" but Istio requires at least \"v1.1.0\";")
        );
        assert_eq!(findings(&CHECK, &yaml("tcproutes", "v1.5.1-dev")).len(), 1);
        for (plural, version) in [
            ("grpcroutes", "v1.1.0"),
            ("grpcroutes", "v1.10.0"),
            ("httproutes", "v0.8.0"),
            ("grpcroutes", "main"),
        ] {
            assert!(findings(&CHECK, &yaml(plural, version)).is_empty(), "{plural} {version}");
        }
    }
}
