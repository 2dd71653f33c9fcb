//! What the machine has to offer, looked at before anything is made, so that one message can say what is missing.

use std::path::Path;

use nix::unistd::geteuid;

use super::RunError;
use crate::node::capability;

/// Capabilities without which root cannot run pods; root in a container often has but some. A user namespace has all of them.
const NEEDED: [&str; 10] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "SETGID",
    "SETUID",
    "NET_BIND_SERVICE",
    "NET_ADMIN",
    "NET_RAW",
    "SYS_ADMIN",
];

/// Which namespaces the node will use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamespacePlan {
    /// Enter a user namespace first, in which the own user is root.
    pub(crate) user: bool,
}

/// Decides how the node is isolated, or says what forbids it.
pub(crate) fn plan(user_namespace_asked: bool) -> Result<NamespacePlan, RunError> {
    let lacking = if geteuid().is_root() { missing_capabilities() } else { Vec::new() };
    let user = user_namespace_asked || !geteuid().is_root() || !lacking.is_empty();
    if user {
        check_user_namespaces()
            .map_err(|error| if lacking.is_empty() { error } else { too_weak(&lacking) })?;
    }
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        super::say(&format!("root lacks {lacking} here: using a user namespace, as an ordinary user does"));
    }
    for (name, what) in
        [("net", "network namespaces"), ("pid", "PID namespaces"), ("mnt", "mount namespaces")]
    {
        if !Path::new("/proc/self/ns").join(name).exists() {
            let remedy = "the kernel was built without them; the embedded cluster needs them, use a Kubernetes cluster instead";
            return Err(RunError::Missing { what, remedy: remedy.to_owned() });
        }
    }
    Ok(NamespacePlan { user })
}

/// Root that is not root enough, where there is no user namespace to be it in.
fn too_weak(lacking: &[&str]) -> RunError {
    RunError::Missing {
        what: "what the pods' namespaces need",
        remedy: format!(
            "this root lacks the capabilities {}, and there are no user namespaces; run with them, or outside of the container",
            lacking.join(", ")
        ),
    }
}

fn check_user_namespaces() -> Result<(), RunError> {
    let missing =
        |remedy: &str| Err(RunError::Missing { what: "a user namespace", remedy: remedy.to_owned() });
    if !Path::new("/proc/self/ns/user").exists() {
        return missing("the kernel was built without CONFIG_USER_NS; run as root instead");
    }
    if let Some(0) = setting("/proc/sys/user/max_user_namespaces") {
        return missing(
            "user.max_user_namespaces is 0; `sudo sysctl user.max_user_namespaces=15000`, or run as root",
        );
    }
    match setting("/proc/sys/kernel/unprivileged_userns_clone") {
        Some(0) => missing(
            "kernel.unprivileged_userns_clone is 0; `sudo sysctl kernel.unprivileged_userns_clone=1`, or run as root",
        ),
        _ => Ok(()),
    }
}

/// Why a user namespace without capabilities is made: AppArmor lets programs without a profile have nothing in theirs.
pub(crate) fn apparmor_restricts() -> bool {
    setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1)
}

/// The remedy for [`apparmor_restricts`].
pub(crate) const APPARMOR_REMEDY: &str = "AppArmor restricts user namespaces of unprivileged programs; \
    `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run as root";

/// What of [`NEEDED`] the process lacks.
fn missing_capabilities() -> Vec<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or_default();
    missing(bits)
}

fn missing(bits: u64) -> Vec<&'static str> {
    let lacks = |name: &&str| !capability::number(name).is_ok_and(|number| bits & (1 << number) != 0);
    NEEDED.into_iter().filter(lacks).collect()
}

fn setting(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_lacks_is_named() {
        assert!(missing(u64::MAX).is_empty());
        assert_eq!(missing(!(1 << 12) & !(1 << 7)), ["SETUID", "NET_ADMIN"]);
        assert_eq!(missing(0).len(), NEEDED.len());
    }
}
