//! Whether the system gives threads: a runtime that gets none of its own panics, which nobody can tell from a fault of the program.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Starts as many threads as a runtime with a thread for each core has, and ends them again.
///
/// # Errors
/// When the system refuses one, as with a full process table.
pub fn available() -> io::Result<()> {
    let count = thread::available_parallelism().map_or(1, usize::from);
    let (all_there, until) = channel();
    let until = Arc::new(Mutex::new(until));
    let started: io::Result<Vec<_>> = (0..count)
        .map(|_| {
            let until = until.clone();
            thread::Builder::new().spawn(move || wait(&until))
        })
        .collect();
    drop(all_there);
    for thread in started? {
        // It does nothing that could fail.
        let _ended = thread.join();
    }
    Ok(())
}

/// Until the other end is dropped.
fn wait(until: &Mutex<Receiver<()>>) {
    let _dropped = until.lock().unwrap_or_else(PoisonError::into_inner).recv();
}

#[cfg(test)]
mod tests {
    #[test]
    fn there_are_threads_here() {
        super::available().expect("threads");
    }
}
