//! SGN0001: fields and objects that are accepted and have no effect yet. The same list stands in the objects' statuses.

use sagene_model::not_yet_effective;

use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::{Message, ObjectRef};

pub(super) const CHECK: Check = Check {
    name: "effect.Analyzer",
    description: "Fields and objects that are accepted and have no effect yet",
    codes: &[Code::NotYetEffective],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let found = not_yet_effective::find(&input.snapshot).into_iter();
    let message = |one: not_yet_effective::NotYetEffective| {
        let object = ObjectRef::new(one.kind.name(), &one.namespace, &one.name);
        let text = format!("{} has no effect: {}", one.field, one.what);
        Message::new(Code::NotYetEffective, object, text).at(at(&one.field))
    };
    found.map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    #[test]
    fn a_field_without_effect_is_named_where_it_stands() {
        let yaml = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: 'n'}\n\
            spec:\n  egress: [{hosts: ['./*']}]\n  ingress: [{port: {number: 1}, bind: 127.0.0.1}]\n";
        assert_eq!(findings(&CHECK, yaml), ["SGN0001 Sidecar n/s@6"]);
    }
}
