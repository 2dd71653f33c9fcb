//! IST0107, IST0108, IST0125, IST0135: annotations of Istio's that Istio does not know, that are on the wrong kind, are deprecated, or whose
//! value cannot be read.

mod catalogue;
mod value;

use sagene_api::kubernetes::{Deployment, Namespace, Pod, Service};
use sagene_api::{Object, ObjectMeta, Resource};
use sagene_model::snapshot::Collected;

use super::support::mesh::INJECT;
use super::support::words::refer;
use super::{Check, Run};
use crate::code::Code;
use crate::input::Input;
use crate::message::Message;
use crate::path::FieldPath;
use catalogue::{Annotation, KubernetesKind};

pub(super) const CHECK: Check = Check {
    name: "annotations.K8sAnalyzer",
    description: "Unknown, misplaced, deprecated and unreadable annotations of Istio's",
    codes: &[
        Code::MisplacedAnnotation,
        Code::UnknownAnnotation,
        Code::InvalidAnnotation,
        Code::DeprecatedAnnotation,
    ],
    how: Run::Whole(run),
};

/// The names of the annotations that Istio knows.
pub(crate) fn names() -> Vec<&'static str> {
    Annotation::names()
}

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    each::<Namespace>(input, KubernetesKind::Namespace, &mut messages);
    each::<Service>(input, KubernetesKind::Service, &mut messages);
    each::<Pod>(input, KubernetesKind::Pod, &mut messages);
    each::<Deployment>(input, KubernetesKind::Deployment, &mut messages);
    for deployment in input.snapshot.deployments.iter() {
        let template = &deployment.spec.template.metadata;
        let path = FieldPath::parse("spec.template.metadata.annotations");
        of_annotations(deployment.as_ref(), template, KubernetesKind::Pod, &path, &mut messages);
    }
    messages
}

fn each<S: Collected>(input: &Input, kind: KubernetesKind, messages: &mut Vec<Message>) {
    for object in S::collection(&input.snapshot).iter() {
        let path = FieldPath::parse("metadata.annotations");
        of_annotations(object.as_ref(), &object.metadata, kind, &path, messages);
    }
}

fn of_annotations<S: Resource>(
    object: &Object<S>,
    metadata: &ObjectMeta,
    kind: KubernetesKind,
    path: &FieldPath,
    messages: &mut Vec<Message>,
) {
    for (name, value) in metadata.annotations.iter().filter(|(name, _)| is_of_istio(name)) {
        let mut add = |code, text| messages.push(Message::new(code, refer(object), text).at(path.key(name)));
        let Some(known) = Annotation::find(name) else {
            add(Code::UnknownAnnotation, format!("Unknown annotation: {name}"));
            continue;
        };
        // Beside the label of its name, the annotation is for injectors that do not know the label.
        let has_label = name == INJECT && metadata.labels.contains_key(INJECT);
        if known.deprecated && !has_label {
            let text = format!(
                "Annotation {name:?} has been deprecated{} and may not work in future Istio versions.",
                known.instead
            );
            add(Code::DeprecatedAnnotation, text);
        }
        if !known.belongs_to(kind) {
            let text =
                format!("Misplaced annotation: {name} can only be applied to {}", known.kinds.join(", "));
            add(Code::MisplacedAnnotation, text);
            continue;
        }
        if let Err(problem) = value::check(name, value) {
            add(Code::InvalidAnnotation, format!("Invalid annotation {name}: {problem}"));
        }
    }
}

/// Under a domain of Istio's, or the one of Kubernetes' that Istio documents.
fn is_of_istio(name: &str) -> bool {
    let domain = name.split('/').next().unwrap_or_default();
    name == "kubernetes.io/ingress.class" || domain == "istio.io" || domain.ends_with(".istio.io")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(kind: &str, annotation: &str) -> String {
        let version = if kind == "Deployment" { "apps/v1" } else { "v1" };
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: x\n  annotations:\n    a: b\n    {annotation}\n"
        )
    }

    #[test]
    fn names_places_and_values() {
        assert_eq!(
            findings(&CHECK, &yaml("Pod", "sidecar.istio.io/injekt: 'true'")),
            ["IST0108 Pod default/x@7"]
        );
        assert_eq!(
            texts(&CHECK, &yaml("Service", "sidecar.istio.io/proxyCPU: 100m")),
            ["Misplaced annotation: sidecar.istio.io/proxyCPU can only be applied to Pod"]
        );
        assert_eq!(
            texts(&CHECK, &yaml("Pod", "sidecar.istio.io/discoveryAddress: a:1")),
            [
                "Annotation \"sidecar.istio.io/discoveryAddress\" has been deprecated and may not work in future Istio versions."
            ]
        );
        let inject = yaml("Pod", "sidecar.istio.io/inject: 'true'");
        assert_eq!(
            texts(&CHECK, &inject),
            [
                "Annotation \"sidecar.istio.io/inject\" has been deprecated in favor of the \"sidecar.istio.io/inject\" label and may not work in \
                 future Istio versions."
            ]
        );
        let beside_label =
            inject.replace("metadata:\n", "metadata:\n  labels: {sidecar.istio.io/inject: 'true'}\n");
        assert!(findings(&CHECK, &beside_label).is_empty());
        let bad = texts(&CHECK, &yaml("Pod", "traffic.sidecar.istio.io/includeInboundPorts: '80,x'"));
        assert!(
            bad[0].starts_with("Invalid annotation traffic.sidecar.istio.io/includeInboundPorts: "),
            "{bad:?}"
        );
        for (kind, good) in [
            ("Pod", "traffic.sidecar.istio.io/includeInboundPorts: '80,8080'"),
            ("Pod", "prometheus.io/scrape: 'true'"),
            ("Pod", "notistio.io/anything: 'true'"),
            ("Service", "networking.istio.io/exportTo: '.'"),
            ("Deployment", "galley.istio.io/analyze-suppress: '*'"),
            ("Namespace", "topology.istio.io/controlPlaneClusters: '*'"),
        ] {
            assert!(findings(&CHECK, &yaml(kind, good)).is_empty(), "{kind} {good}");
        }
    }

    #[test]
    fn templates_of_deployments_are_pods() {
        let yaml = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n    metadata:\n      annotations:\n        sidecar.istio.io/logLevel: debug\n        \
                    networking.istio.io/exportTo: '*'\n";
        assert_eq!(findings(&CHECK, yaml), ["IST0107 Deployment default/d@9"]);
        let on_deployment =
            yaml.replace("  template:\n    metadata:\n      annotations:\n", "  x:\n    y:\n      z:\n");
        assert!(findings(&CHECK, &on_deployment).is_empty());
    }
}
