//! Findings from a snapshot: one file per message.
//!
//! Pure: a snapshot in, messages out; never a `Result`, never I/O. Order of the room: [`input`] turns text into objects that remember
//! where they stand, [`checks`] find, [`filter`] leaves out what was not asked for,
//! [`explain`] says more about a code.

pub mod checks;
pub mod code;
pub mod explain;
pub mod filter;
pub mod fix;
pub mod incremental;
pub mod input;
pub mod message;
pub mod near;
pub mod needs;
mod order;
pub mod path;
mod run;
mod threads;
pub mod validation;
mod yaml;

use checks::Check;

pub use code::{Code, Level};
pub use input::Input;
pub use message::{Message, ObjectRef};
pub use path::FieldPath;

/// All findings, most severe first, then by code and object; without duplicates.
pub fn analyze(input: &Input) -> Vec<Message> {
    let checks: Vec<&Check> = checks::ALL.iter().collect();
    analyze_with(input, &checks)
}

/// The findings of some checks, in the order of output.
pub fn analyze_with(input: &Input, checks: &[&Check]) -> Vec<Message> {
    let mut messages = run::together(input, checks);
    messages.extend(checks::schema::problems_for(input, checks).cloned());
    order::sort(&mut messages);
    messages
}

/// What `validate` finds: what Istio's webhook says of single objects, in the order of files and lines; nothing that needs other objects.
pub fn validate(input: &Input) -> Vec<Message> {
    let mut messages: Vec<Message> = checks::schema::ALL
        .iter()
        .chain([&checks::UNREACHABLE_ROUTES])
        .flat_map(|check| check.run(input))
        .collect();
    messages.extend(validation::kubernetes::problems(input));
    messages.extend(validation::gateway_api::problems(input));
    messages.extend(input.problems.iter().cloned());
    messages.retain(|message| message.code != Code::RouteNeverMatches);
    messages.sort_by(Message::compare);
    messages.dedup();
    let places = input.locations(&messages.iter().collect::<Vec<_>>());
    let mut placed: Vec<_> = places.into_iter().zip(messages).collect();
    placed.sort_by(|(left, _), (right, _)| {
        let place =
            |it: &Option<input::Location>| it.as_ref().map(|it| (it.file.clone(), it.line, it.column));
        place(left).cmp(&place(right))
    });
    placed.into_iter().map(|(_, message)| message).collect()
}

#[cfg(test)]
mod tests;
