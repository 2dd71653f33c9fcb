//! What the machine has to offer, looked at before anything is made, so that one message can say what is missing.

use std::path::Path;

use nix::unistd::geteuid;

use super::RunError;

/// Which namespaces the node will use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamespacePlan {
    /// Enter a user namespace first, in which the own user is root.
    pub(crate) user: bool,
}

/// Decides how the node is isolated, or says what forbids it.
pub(crate) fn plan(user_namespace_asked: bool) -> Result<NamespacePlan, RunError> {
    let root = geteuid().is_root() && has_sys_admin();
    let user = user_namespace_asked || !root;
    if user {
        check_user_namespaces()?;
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

/// Whether the process may make namespaces without a user namespace; root in a container often may not.
fn has_sys_admin() -> bool {
    const SYS_ADMIN: u32 = 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|bits| bits & (1 << SYS_ADMIN) != 0)
}

fn setting(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
