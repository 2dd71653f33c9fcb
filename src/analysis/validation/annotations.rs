//! Rules of the annotations of Istio's kinds: those that only the control plane may set, and `istio.io/dry-run`, which is for
//! AuthorizationPolicies that allow or deny.

use sagene_api::Tree;

use super::{Place, Report};

/// Beginning of those that only the control plane sets, on objects that it makes for itself.
const INTERNAL: &str = "internal.istio.io/";
/// Tries a policy: what it would do is counted and logged, not done.
const DRY_RUN: &str = "istio.io/dry-run";
/// The kind that can be tried.
const POLICY: &str = "AuthorizationPolicy";
/// What stands for yes and no, as Go reads it.
const TRUTH: [&str; 12] = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];

/// What Istio's webhook refuses of an object of this kind.
pub(super) fn rules(report: &mut Report, object: &Tree<'_>, kind: &str) {
    let annotations = object.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let Some(annotations) = annotations.and_then(Tree::as_map) else { return };
    let (metadata, list) = (Place::Whole.key("metadata"), "annotations");
    for (name, value) in annotations {
        let list = metadata.key(list);
        let path = list.key(name);
        if name.starts_with(INTERNAL) {
            report.error(path, format!("{name} is reserved for the control plane; remove it"));
        } else if *name == DRY_RUN && kind != POLICY {
            report.error(path, format!("{DRY_RUN} is for {POLICY} alone; remove it"));
        } else if *name == DRY_RUN {
            let action = object.get("spec").map_or("", |spec| spec.text("action"));
            report.require(
                matches!(action, "" | "ALLOW" | "DENY"),
                path,
                format_args!("{DRY_RUN} is for the actions ALLOW and DENY, not for {action}"),
            );
            // What is no text is told of as such.
            let is_truth = value.as_str().is_none_or(|text| TRUTH.contains(&text));
            report.require(is_truth, path, "want \"true\" or \"false\"");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::problems_of;

    fn found(kind: &str, spec: &Value, annotations: &Value) -> Vec<String> {
        let group = if kind == "AuthorizationPolicy" { "security" } else { "networking" };
        let object = json!({"apiVersion": format!("{group}.istio.io/v1"), "kind": kind,
            "metadata": {"name": "a", "annotations": annotations}, "spec": spec});
        problems_of(&object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn of_the_control_plane_and_of_other_kinds() {
        let (rule, policy) = (json!({"host": "a"}), json!({"rules": [{}]}));
        assert_eq!(
            found("DestinationRule", &rule, &json!({"internal.istio.io/parents": "x"})),
            [
                "metadata.annotations.internal.istio.io/parents: internal.istio.io/parents is reserved for the control plane; remove it"
            ]
        );
        assert_eq!(
            found("DestinationRule", &rule, &json!({"istio.io/dry-run": "true"})),
            [
                "metadata.annotations.istio.io/dry-run: istio.io/dry-run is for AuthorizationPolicy alone; remove it"
            ]
        );
        assert_eq!(
            found("AuthorizationPolicy", &policy, &json!({"istio.io/dry-run": "maybe"})),
            ["metadata.annotations.istio.io/dry-run: want \"true\" or \"false\""]
        );
        assert_eq!(
            found(
                "AuthorizationPolicy",
                &json!({"action": "AUDIT", "rules": [{}]}),
                &json!({"istio.io/dry-run": "true"})
            ),
            [
                "metadata.annotations.istio.io/dry-run: istio.io/dry-run is for the actions ALLOW and DENY, not for AUDIT"
            ]
        );
        assert!(
            found("AuthorizationPolicy", &policy, &json!({"istio.io/dry-run": "T", "a": "b"})).is_empty()
        );
        assert!(found("DestinationRule", &rule, &json!({"istio.io/rev": "x"})).is_empty());
    }
}
