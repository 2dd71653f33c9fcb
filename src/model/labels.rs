//! Label selectors, Istio's and Kubernetes'.

use sagene_api::SortedMap;
use sagene_api::kubernetes::LabelSelector;
use sagene_api::kubernetes::selector::LabelSelectorRequirement;

/// Labels of an object.
pub type Labels = SortedMap<String, String>;

/// True where `labels` has every pair of `wanted`. An empty `wanted` is met by all.
pub fn has_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// True where a Kubernetes selector is met; an unknown operator is met by nothing.
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    has_all(labels, &selector.match_labels)
        && selector.match_expressions.iter().all(|requirement| meets(requirement, labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| requirement.values.contains(value)),
        "NotIn" => value.is_none_or(|value| !requirement.values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_as_kubernetes_reads_them() {
        let labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        let of = |operator: &str, key: &str, values: &[&str]| {
            let requirement = LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            };
            matches(
                &LabelSelector { match_expressions: vec![requirement], ..LabelSelector::default() },
                &labels,
            )
        };
        assert!(of("In", "app", &["web", "api"]) && !of("In", "tier", &["web"]));
        assert!(of("NotIn", "tier", &["web"]) && !of("NotIn", "app", &["web"]));
        assert!(of("Exists", "app", &[]) && of("DoesNotExist", "tier", &[]));
        assert!(!of("Sometimes", "app", &["web"]));
        assert!(matches(&LabelSelector::default(), &labels));
    }
}
