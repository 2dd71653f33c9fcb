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
    order::sort(&mut messages);
    messages
}

/// Fewer objects are not worth a thread.
const OBJECTS_A_THREAD: usize = 256;
/// Most threads that check at once.
const MOST_THREADS: usize = 8;

/// What the checks find together, one check after the other, each in the order of output.
fn run(input: &Input, checks: &[&Check]) -> Vec<Message> {
    let mut lists = run_each(input, checks);
    // The longest grows by the others: of a large mesh, one check mostly finds nearly all.
    let longest = lists.iter().enumerate().max_by_key(|(_, list)| list.len()).map(|(index, _)| index);
    let mut all = longest.map(|index| lists.swap_remove(index)).unwrap_or_default();
    all.reserve_exact(lists.iter().map(Vec::len).sum());
    all.extend(lists.into_iter().flatten());
    all
}

/// What each check finds, in the order of output. Where there is much to check, several threads do it: each takes the next check that
/// nobody has begun.
fn run_each(input: &Input, checks: &[&Check]) -> Vec<Vec<Message>> {
    let objects: usize = input.counts.values().sum();
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = available.min(MOST_THREADS).min(objects / OBJECTS_A_THREAD);
    let run_one = |check: &Check| {
        let mut messages = (check.run)(input);
        order::sort(&mut messages);
        messages
    };
    if threads <= 1 {
        return checks.iter().map(|check| run_one(check)).collect();
    }
    // The checks that look at every destination stand last, and take longest: they are begun first.
    let left = AtomicUsize::new(checks.len());
    let take = || {
        let mut taken = Vec::new();
        while let Ok(before) =
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        {
            taken.push((before - 1, run_one(checks[before - 1])));
        }
        taken
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

/// What `validate` finds: what Istio's webhook says of single objects, in the order of files and lines; nothing that needs other objects.
pub fn validate(input: &Input) -> Vec<Message> {
    let mut messages: Vec<Message> = checks::schema::ALL
        .iter()
        .chain([&checks::UNREACHABLE_ROUTES])
        .flat_map(|check| (check.run)(input))
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
