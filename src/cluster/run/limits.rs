//! Process limits of the node, inherited by nothing: containers get the machine's own back.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of open files to the hard limit; a lower one only means fewer connections.
pub(crate) fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err()
    {
        tracing::info!(soft, "the limit of open files cannot be raised");
    }
}
