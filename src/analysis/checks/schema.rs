//! IST0106, IST0133: objects that break a rule of their kind, or come close.

use std::collections::BTreeSet;

use super::Check;
use crate::code::Code;
use crate::input::{Input, reference};
use crate::message::{Message, ObjectRef};
use crate::path::FieldPath;
use crate::validation::{Problem, Severity, mesh_config, problems_of, validate};

pub(crate) const CHECK: Check = Check {
    name: "schema.ValidationAnalyzer",
    description: "Objects that break the rules of their kind",
    codes: &[Code::SchemaValidationError, Code::SchemaWarning],
    run,
};

/// What the shape of objects breaks is found when they are read, and in [`Input::problems`]; here are the rules beyond it.
fn run(input: &Input) -> Vec<Message> {
    let snapshot = &input.snapshot;
    let told: BTreeSet<(&ObjectRef, &FieldPath)> =
        input.problems.iter().map(|message| (&message.object, &message.path)).collect();
    let mut messages = Vec::new();
    macro_rules! all {
        ($($field:ident),+) => {$(
            for object in snapshot.$field.iter() {
                let problems = validate(object.as_ref());
                if problems.is_empty() {
                    continue;
                }
                let object = reference(object);
                let new = problems.into_iter().filter(|problem| !told.contains(&(&object, &problem.path)));
                messages.extend(new.map(|problem| message(object.clone(), problem)));
            }
        )+};
    }
    all!(
        virtual_services,
        destination_rules,
        gateways,
        service_entries,
        sidecars,
        workload_entries,
        workload_groups,
        peer_authentications,
        request_authentications,
        authorization_policies,
        envoy_filters,
        proxy_configs,
        telemetries,
        wasm_plugins
    );
    for (object, value) in &input.untyped {
        messages.extend(problems_of(value).into_iter().map(|problem| message(object.clone(), problem)));
    }
    messages.extend(mesh(input));
    messages
}

/// The settings of the mesh, where they were read from ConfigMaps.
fn mesh(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for map in input.snapshot.config_maps.iter() {
        let name = map.metadata.name.as_str();
        if name != "istio" && !name.starts_with("istio-") {
            continue;
        }
        let data = |key: &str| map.spec.data.get(key);
        let found = data("mesh").map(|text| mesh_config::problems_in_text(text));
        let networks = data("meshNetworks").map(|text| mesh_config::network_problems_in_text(text));
        for (key, problems) in [("mesh", found), ("meshNetworks", networks)] {
            for problem in problems.into_iter().flatten() {
                let text = format!("Schema validation {}: {problem}", word(&problem));
                let path = FieldPath::parse("data").key(key);
                messages.push(Message::new(problem.code, reference(map), text).at(path));
            }
        }
    }
    messages
}

fn word(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A broken rule as a finding.
pub(crate) fn message(object: ObjectRef, problem: Problem) -> Message {
    let text = match problem.code {
        Code::SchemaValidationError | Code::SchemaWarning => {
            format!("Schema validation {}: {problem}", word(&problem))
        }
        // The others have words of their own.
        _ => problem.message.clone(),
    };
    Message::new(problem.code, object, text).at(problem.path)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;
    use crate::input::load;

    #[test]
    fn the_field_that_breaks_the_rule_is_named() {
        let yaml = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n      weight: -1\n    - destination: {host: b}\n";
        assert_eq!(findings(&CHECK, yaml), ["IST0106 VirtualService default/v@9"]);
        assert_eq!(
            texts(&CHECK, yaml),
            ["Schema validation error: spec.http[0].route[0].weight: weight -1 < 0"]
        );
    }

    #[test]
    fn a_mistake_of_shape_is_told_once_and_where_it_stands() {
        let yaml = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: ['*']\n  resolutoin: DNS\n";
        let mut input = Input::default();
        assert!(load(&mut input, "f.yaml", yaml.to_owned(), "default").is_empty());
        let all: Vec<String> = crate::analyze(&input)
            .iter()
            .map(|it| format!("{} {}", input.location(it).map_or(0, |place| place.line), it.text))
            .collect();
        assert_eq!(
            all,
            [
                "5 Schema validation error: spec.hosts[0]: hostname cannot be wildcard",
                "6 Schema validation error: spec.resolutoin: unknown field \"resolutoin\"; did you mean \"resolution\"?",
            ]
        );
    }

    #[test]
    fn kinds_that_are_not_collected_and_settings_of_the_mesh_count() {
        let yaml = "apiVersion: extensions.istio.io/v1alpha1\nkind: TrafficExtension\nmetadata: {name: t}\nspec: {}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    proxyListenPort: 70000\n";
        assert_eq!(
            findings(&CHECK, yaml),
            ["IST0106 ConfigMap istio-system/istio@10", "IST0106 TrafficExtension t@4"]
        );
    }
}
