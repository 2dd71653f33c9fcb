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

/// For devices that the namespace gets from now on: addresses serve at once instead of after a second of asking whether somebody else has
/// them (the node hands them out), and nobody changes the routes that the node sets.
pub(super) fn quiet_ipv6() {
    for (name, value) in [("accept_dad", "0"), ("accept_ra", "0"), ("accept_redirects", "0")] {
        try_set(&format!("net/ipv6/conf/default/{name}"), value);
    }
}
