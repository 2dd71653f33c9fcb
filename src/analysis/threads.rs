//! Threads that take a share of the work. Where the system has none to give, as with a full process table, the share stays with the caller.

use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Starts a thread of the scope; `None` where that is not possible.
pub(crate) fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    Builder::new().spawn_scoped(scope, work).ok()
}
