//! User, groups, capabilities and terminal of a container's process.

use std::os::fd::AsFd;

use nix::sys::prctl;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Gid, Uid, fchown, setgid, setgroups, setsid, setuid};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use super::StartError;
use crate::node::container_spec::ProgramSpec;

/// Kernels know up to this many capabilities today; unknown ones are refused and left alone.
const CAPABILITIES: u8 = 41;

/// Gives up what the program must not have.
pub(super) fn drop(program: &ProgramSpec) -> Result<(), StartError> {
    if let Some(kept) = &program.capabilities {
        for capability in (0..CAPABILITIES).filter(|capability| !kept.contains(capability)) {
            let set = CapabilitySet::from_bits_retain(1 << capability);
            // EINVAL: this kernel is older than the capability.
            let _ = remove_capability_from_bounding_set(set);
        }
    }
    if program.user.is_some() || program.group.is_some() {
        let groups: Vec<Gid> =
            program.supplementary_groups.iter().map(|group| Gid::from_raw(*group)).collect();
        setgroups(&groups).map_err(StartError::step("set the supplementary groups"))?;
    }
    if let Some(group) = program.group {
        setgid(Gid::from_raw(group)).map_err(StartError::step(format!("run as group {group}")))?;
    }
    if let Some(user) = program.user {
        own_streams(Uid::from_raw(user));
        setuid(Uid::from_raw(user)).map_err(StartError::step(format!("run as user {user}")))?;
    }
    if program.no_new_privileges {
        prctl::set_no_new_privs().map_err(StartError::step("forbid new privileges"))?;
    }
    Ok(())
}

/// Gives the program the pipes it was started with, so that it may open `/dev/stdout` by name as well.
fn own_streams(user: Uid) {
    for stream in [std::io::stdin().as_fd(), std::io::stdout().as_fd(), std::io::stderr().as_fd()] {
        let pipe =
            fstat(stream).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode).contains(SFlag::S_IFIFO));
        if pipe {
            // The open descriptors work in any case.
            let _ = fchown(stream, Some(user), None);
        }
    }
}

/// Starts a session whose controlling terminal is the one on the standard streams.
pub(super) fn take_terminal() -> Result<(), StartError> {
    setsid().map_err(StartError::step("start a session"))?;
    rustix::process::ioctl_tiocsctty(std::io::stdin()).map_err(StartError::step("take the terminal"))
}
