//! Whether a pod takes part: the in-process half of the decision (the webhook's selectors made the first half).

use std::fmt;

use serde_json::Value;

use super::config::{InjectConfig, Policy};

/// Namespaces that never get a sidecar.
pub(super) const IGNORED_NAMESPACES: [&str; 4] =
    ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Why a pod was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// `hostNetwork: true`: capturing there would capture the node.
    HostNetwork,
    /// The namespace belongs to Kubernetes itself.
    IgnoredNamespace,
    /// `sidecar.istio.io/inject: "false"`.
    PodOptedOut,
    /// `neverInjectSelector` matches.
    NeverInjectSelector,
    /// The policy is `disabled` and nothing asked for the sidecar.
    PolicyDisabled,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HostNetwork => "the pod uses the host's network",
            Self::IgnoredNamespace => "the namespace is never injected",
            Self::PodOptedOut => "the pod opted out with sidecar.istio.io/inject",
            Self::NeverInjectSelector => "neverInjectSelector matches the pod",
            Self::PolicyDisabled => "the injection policy is disabled and the pod does not ask for a sidecar",
        })
    }
}

/// `injectRequired` of istiod: label beats annotation, an invalid value counts as unset, then the selectors, then the policy.
pub(super) fn skip(pod: &Value, namespace: &str, config: &InjectConfig) -> Option<SkipReason> {
    if pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true) {
        return Some(SkipReason::HostNetwork);
    }
    if IGNORED_NAMESPACES.contains(&namespace) {
        return Some(SkipReason::IgnoredNamespace);
    }
    let asked = pod
        .pointer("/metadata/labels/sidecar.istio.io~1inject")
        .or_else(|| pod.pointer("/metadata/annotations/sidecar.istio.io~1inject"))
        .and_then(Value::as_str);
    match asked.map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "yes" | "y" | "on") => return None,
        Some("false" | "no" | "n" | "off") => return Some(SkipReason::PodOptedOut),
        _ => {}
    }
    if config.never_inject.iter().any(|selector| selects(selector, pod)) {
        return Some(SkipReason::NeverInjectSelector);
    }
    if config.always_inject.iter().any(|selector| selects(selector, pod)) {
        return None;
    }
    (config.policy == Policy::Disabled).then_some(SkipReason::PolicyDisabled)
}

/// A Kubernetes label selector on the pod's labels. An empty selector selects nothing here, as in istiod.
fn selects(selector: &Value, pod: &Value) -> bool {
    let label = |key: &str| {
        pod.pointer("/metadata/labels").and_then(|labels| labels.get(key)).and_then(Value::as_str)
    };
    let equal = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    if equal.is_none_or(serde_json::Map::is_empty) && expressions.is_none_or(Vec::is_empty) {
        return false;
    }
    equal.into_iter().flatten().all(|(key, value)| label(key) == value.as_str())
        && expressions.into_iter().flatten().all(|expression| holds(expression, label))
}

fn holds<'a>(expression: &Value, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    let actual = label(expression.get("key").and_then(Value::as_str).unwrap_or_default());
    let listed = || {
        let values = expression.get("values").and_then(Value::as_array);
        values.into_iter().flatten().any(|value| value.as_str() == actual)
    };
    match expression.get("operator").and_then(Value::as_str) {
        Some("In") => actual.is_some() && listed(),
        Some("NotIn") => actual.is_none() || !listed(),
        Some("Exists") => actual.is_some(),
        Some("DoesNotExist") => actual.is_none(),
        _ => false,
    }
}
