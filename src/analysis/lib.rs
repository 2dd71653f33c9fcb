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
pub mod path;
pub mod validation;
mod yaml;

use std::sync::atomic::{AtomicUsize, Ordering};

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
    let mut messages = run(input, checks);
    messages.extend(checks::schema::problems_for(input, checks).cloned());
    sort(&mut messages);
    messages
}

/// Fewer objects are not worth a thread.
const OBJECTS_A_THREAD: usize = 256;
/// Most threads that check at once.
const MOST_THREADS: usize = 8;

fn run(input: &Input, checks: &[&Check]) -> Vec<Message> {
    run_each(input, checks).into_iter().flatten().collect()
}

/// What each check finds. Where there is much to check, several threads do it: each takes the next check that nobody has begun.
fn run_each(input: &Input, checks: &[&Check]) -> Vec<Vec<Message>> {
    let objects: usize = input.counts.values().sum();
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = available.min(MOST_THREADS).min(objects / OBJECTS_A_THREAD);
    if threads <= 1 {
        return checks.iter().map(|check| (check.run)(input)).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let mut taken = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match checks.get(index) {
                Some(check) => taken.push((index, (check.run)(input))),
                None => return taken,
            }
        }
    };
    let mut found = vec![Vec::new(); checks.len()];
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let mut taken = take();
        for other in others {
            match other.join() {
                Ok(more) => taken.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        for (index, messages) in taken {
            found[index] = messages;
        }
    });
    found
}

fn sort(messages: &mut Vec<Message>) {
    // What is found by a check is nearly in order: the stable sort makes use of that.
    messages.sort_by(Message::compare);
    messages.dedup();
}

/// What `validate` finds: broken rules of single objects, in the order of files and lines; nothing that needs other objects.
pub fn validate(input: &Input) -> Vec<Message> {
    let mut messages: Vec<Message> = checks::schema::ALL
        .iter()
        .chain([&checks::UNREACHABLE_ROUTES])
        .flat_map(|check| (check.run)(input))
        .collect();
    messages.extend(validation::kubernetes::problems(input));
    messages.extend(validation::gateway_api::problems(input));
    messages.extend(input.problems.iter().cloned());
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
