//! IST0106, IST0133: objects that break a rule of their kind, or come close.

use super::Check;
use crate::code::Code;
use crate::input::{Input, reference};
use crate::message::Message;
use crate::validation::{Problem, Severity, validate};

pub(super) const CHECK: Check = Check {
    name: "schema.ValidationAnalyzer",
    description: "Objects that break the rules of their kind",
    codes: &[Code::SchemaValidationError, Code::SchemaWarning],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    let snapshot = &input.snapshot;
    let mut messages = Vec::new();
    macro_rules! all {
        ($($field:ident),+) => {$(
            for object in snapshot.$field.iter() {
                messages.extend(validate(object.as_ref()).into_iter().map(|problem| message(reference(object), problem)));
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
        peer_authentications,
        request_authentications,
        authorization_policies,
        envoy_filters
    );
    messages
}

fn message(object: crate::message::ObjectRef, problem: Problem) -> Message {
    let (code, words) = match problem.severity {
        Severity::Error => (Code::SchemaValidationError, "error"),
        Severity::Warning => (Code::SchemaWarning, "warning"),
    };
    Message::new(code, object, format!("Schema validation {words}: {}", problem.message)).at(problem.path)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    #[test]
    fn the_field_that_breaks_the_rule_is_named() {
        let yaml = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n      weight: -1\n    - destination: {host: b}\n";
        assert_eq!(findings(&CHECK, yaml), ["IST0106 VirtualService default/v@9"]);
        assert!(texts(&CHECK, yaml)[0].starts_with("Schema validation error: "));
    }
}
