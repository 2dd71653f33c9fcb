//! `cluster.json`: which process serves the cluster and where. Only believed while the lock is held.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Written by the daemon once its API server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterRecord {
    /// The daemon, as its user sees it.
    pub(crate) process_id: u32,
    /// Clock ticks between boot and its start, so that a reused process id is told apart.
    pub(crate) process_start_time: u64,
    /// Where the API server listens.
    pub(crate) api_address: SocketAddr,
    /// Version of the program that it is, and that its pods run; empty where it is earlier than 0.2.0.
    #[serde(default)]
    pub(crate) version: String,
}

impl ClusterRecord {
    /// Reads it; a missing, half-written or foreign file counts as none.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Replaces the file in one step.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        let draft = path.with_extension("json.new");
        std::fs::write(&draft, text)?;
        std::fs::rename(&draft, path)
    }

    /// Whether the process still is the one that wrote this.
    pub(crate) fn is_alive(&self) -> bool {
        process_start_time(self.process_id) == Some(self.process_start_time)
    }
}

/// Field 22 of `/proc/PID/stat`; `None` when there is no such process, or one that has ended and was not waited for yet.
pub(crate) fn process_start_time(process_id: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses; fields count from behind the last one.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let ended = matches!(fields.next()?, "Z" | "X");
    fields.nth(18)?.parse().ok().filter(|_| !ended)
}
