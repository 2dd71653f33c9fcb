//! Process limits of the node, inherited by nothing: containers get the machine's own back.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::RunError;

/// Fewer open files are not enough for the API server and the pods of a mesh: nothing would fail at once, and everything now and then.
const LEAST_OPEN_FILES: u64 = 256;

/// Raises the number of open files to the hard limit; a lower one only means fewer connections, down to [`LEAST_OPEN_FILES`].
pub(crate) fn raise_open_files() -> Result<(), RunError> {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if hard < LEAST_OPEN_FILES {
        return Err(RunError::Missing {
            what: "a sufficient number of open files",
            remedy: format!(
                "{hard} are allowed and {LEAST_OPEN_FILES} needed; raise the limit with `ulimit -n`"
            ),
        });
    }
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
        tracing::info!(soft, "the limit of open files cannot be raised");
    }
    Ok(())
}
