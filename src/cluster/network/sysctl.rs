//! Kernel settings of the calling thread's network namespace.

use super::NetworkError;

/// Writes `/proc/sys/NAME`, for example `net/ipv4/ip_forward`.
pub(super) fn set(name: &str, value: &str) -> Result<(), NetworkError> {
    std::fs::write(format!("/proc/sys/{name}"), value)
        .map_err(NetworkError::system(format!("set {name} to {value}")))
}

/// As [`set`], for settings that not every kernel has or lets a user namespace change.
pub(super) fn try_set(name: &str, value: &str) {
    if let Err(error) = set(name, value) {
        tracing::debug!(%error, "left as it is");
    }
}
