//! Findings from a snapshot: one file per message.
//!
//! Pure: a snapshot in, messages out; never a `Result`, never I/O. Order of the room: [`input`] turns text into objects that remember
//! where they stand, [`checks`] find, [`filter`] leaves out what was not asked for.

pub mod checks;
pub mod code;
pub mod filter;
pub mod input;
pub mod message;
pub mod path;
pub mod validation;
mod yaml;

pub use code::{Code, Level};
pub use input::Input;
pub use message::{Message, ObjectRef};
pub use path::FieldPath;

/// All findings, most severe first, then by code and object; without duplicates.
pub fn analyze(input: &Input) -> Vec<Message> {
    let mut messages: Vec<Message> = checks::ALL.iter().flat_map(|check| (check.run)(input)).collect();
    messages.extend(input.problems.iter().cloned());
    messages.sort_by(Message::compare);
    messages.dedup();
    messages
}
