//! The services of the node process.

use super::RunError;
use super::node_process::NodeProcess;

pub(super) fn run(process: NodeProcess) -> Result<(), RunError> {
    let _ = process;
    Ok(())
}
