//! How checks are tested: YAML in, `code object@line` out.

use crate::input::{Input, load};

/// What `check` finds in `yaml`: `IST0101 Kind namespace/name@line`, in order.
pub(crate) fn findings(check: &super::Check, yaml: &str) -> Vec<String> {
    let mut input = Input::default();
    let errors = load(&mut input, "test.yaml", yaml.to_owned(), "default");
    assert!(errors.is_empty(), "{errors:?}");
    let mut messages = (check.run)(&input);
    messages.sort_by(crate::message::Message::compare);
    messages
        .iter()
        .map(|message| {
            let line = input.location(message).map_or(0, |location| location.line);
            format!("{} {}@{line}", message.code.id(), message.object.origin())
        })
        .collect()
}

/// The texts of what `check` finds.
pub(crate) fn texts(check: &super::Check, yaml: &str) -> Vec<String> {
    let mut input = Input::default();
    load(&mut input, "test.yaml", yaml.to_owned(), "default");
    (check.run)(&input).into_iter().map(|message| message.text).collect()
}
