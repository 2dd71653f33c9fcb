//! What the validation webhook refuses: Istio objects that break a rule of their kind.

use sagene_analysis::validation::{Problem, Severity, problems_of};
use serde_json::Value;

/// Longest warning that is shown whole; API servers cut what goes beyond.
const LONGEST_WARNING: usize = 240;

/// Checks the object of an admission request. Accepted objects come with warnings; the words of a refusal name the fields.
pub(super) fn check(request: &Value) -> Result<Vec<String>, String> {
    if request.get("operation").and_then(Value::as_str) == Some("DELETE") {
        return Ok(Vec::new());
    }
    let Some(object) = request.get("object").filter(|object| object.is_object()) else {
        return Err("the admission request carries no object".to_owned());
    };
    let (errors, warnings): (Vec<Problem>, Vec<Problem>) =
        problems_of(object).into_iter().partition(|problem| problem.severity == Severity::Error);
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    if errors.is_empty() { Ok(warnings.iter().map(warning).collect()) } else { Err(refusal(&errors)) }
}

fn refusal(errors: &[String]) -> String {
    match errors {
        [only] => format!("configuration is invalid: {only}"),
        several => {
            let listed: String = several.iter().map(|error| format!("\n\t* {error}")).collect();
            format!("configuration is invalid: {} errors occurred:{listed}\n\n", several.len())
        }
    }
}

fn warning(problem: &Problem) -> String {
    let text = problem.to_string();
    if text.chars().count() <= LONGEST_WARNING {
        return text;
    }
    text.chars().take(LONGEST_WARNING).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn virtual_service(metadata: Value, spec: Value) -> Value {
        json!({"operation": "CREATE", "object": {
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec,
        }})
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        let named = || json!({"name": "a"});
        let route = json!({"route": [{"destination": {"host": "a"}}]});
        assert_eq!(
            check(&virtual_service(named(), json!({"hosts": ["a"], "http": [route]}))),
            Ok(Vec::new())
        );
        assert_eq!(
            check(&virtual_service(named(), json!({"hosts": 1, "http": [route]}))),
            Err("configuration is invalid: spec.hosts: must be a list, not a number; begin each element with \"- \"".to_owned())
        );
        let two = check(&virtual_service(named(), json!({"hosts": ["*"], "http": [{"redirect": {}}]})));
        assert_eq!(
            two,
            Err("configuration is invalid: 2 errors occurred:\n\t* spec.hosts[0]: wildcard host * is not allowed for virtual services bound to the mesh gateway; name a gateway, or the hosts\n\t* spec.http[0].redirect: redirect must specify uri, authority, scheme or port\n\n".to_owned())
        );
        let internal = json!({"name": "a", "annotations": {"internal.istio.io/parents": "x"}});
        assert!(
            check(&virtual_service(internal, json!({}))).unwrap_err().contains("internal.istio.io/parents")
        );
        let deleted = json!({"operation": "DELETE", "object": null});
        assert_eq!(check(&deleted), Ok(Vec::new()));
    }

    #[test]
    fn what_is_accepted_may_be_warned_of() {
        let route = json!({"route": [{"destination": {"host": "a"}}]});
        let warnings =
            check(&virtual_service(json!({"name": "a"}), json!({"hosts": ["a"], "http": [route, route]})));
        assert_eq!(
            warnings,
            Ok(vec![
                "spec.http[1]: VirtualService rule #1 not used (only the last rule can have no matches)."
                    .to_owned()
            ])
        );
    }

    #[test]
    fn a_patch_whose_value_fits_nothing_is_refused() {
        let request = |value: Value| {
            json!({"operation": "CREATE", "object": {
                "apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": {"name": "a", "namespace": "b"},
                "spec": {"configPatches": [{"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": value}}]},
            }})
        };
        assert_eq!(check(&request(json!({"connect_timeout": "1s"}))), Ok(Vec::new()));
        let wrong = check(&request(json!({"conect_timeout": "1s"}))).unwrap_err();
        assert!(
            wrong.starts_with("configuration is invalid: spec.configPatches[0].patch.value.conect_timeout: "),
            "{wrong}"
        );
    }
}
