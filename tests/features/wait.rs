//! Waiting for what comes of its own: a line in a log, a report, a count.

use std::time::{Duration, Instant};

/// Seconds where milliseconds are usual, for a machine that is busy with everything else; only what fails waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What `find` finds, as soon as it does; `None` where it does not in time.
pub(crate) fn until<T>(mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find() {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
