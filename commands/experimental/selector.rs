//! Label selectors as Kubernetes matches them, with the first requirement that is not met.

use serde_json::{Map, Value};

use crate::kubernetes::text;

/// `None` when the labels match, else the requirement that does not, in kubectl's notation.
pub(super) fn unmet(selector: &Value, labels: &Map<String, Value>) -> Option<String> {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    for (key, wanted) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        let wanted = wanted.as_str().unwrap_or_default();
        if label(key) != Some(wanted) {
            return Some(format!("{key}={wanted}"));
        }
    }
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for expression in expressions.into_iter().flatten() {
        let (key, operator) = (text(expression, "/key"), text(expression, "/operator"));
        let values: Vec<&str> = expression
            .get("values")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let found = label(key);
        let (met, words) = match operator {
            "In" => {
                (found.is_some_and(|it| values.contains(&it)), format!("{key} in ({})", values.join(",")))
            }
            "NotIn" => {
                (!found.is_some_and(|it| values.contains(&it)), format!("{key} notin ({})", values.join(",")))
            }
            "Exists" => (found.is_some(), key.to_owned()),
            "DoesNotExist" => (found.is_none(), format!("!{key}")),
            other => (false, format!("{key} {other}")),
        };
        if !met {
            return Some(words);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_requirement_that_is_not_met_is_named() {
        let labels = json!({"app": "x", "istio-injection": "enabled"});
        let labels = labels.as_object().expect("map");
        let expression = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (selector, reason) in [
            (json!({}), None),
            (json!({"matchLabels": {"app": "x"}}), None),
            (json!({"matchLabels": {"app": "y"}}), Some("app=y")),
            (expression("istio-injection", "In", json!(["enabled"])), None),
            (expression("istio-injection", "DoesNotExist", json!([])), Some("!istio-injection")),
            (expression("app", "NotIn", json!(["x"])), Some("app notin (x)")),
            (expression("gone", "NotIn", json!(["x"])), None),
            (expression("gone", "Exists", json!([])), Some("gone")),
        ] {
            assert_eq!(unmet(&selector, labels).as_deref(), reason, "{selector}");
        }
    }
}
