//! A network of its own for the guides: the ports and addresses that they use, 80 and 443 among them, are then free whatever else runs here.

use std::fs::File;
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};

/// Puts this thread, and what it starts from now on, into a new network with a loopback. Where that is not possible it stays in the machine's.
pub(crate) fn enter_own() {
    let Ok(machine) = File::open("/proc/thread-self/ns/net") else { return };
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        return;
    }
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    if !up.is_ok_and(|status| status.success()) {
        setns(&machine, CloneFlags::CLONE_NEWNET).expect("back into the machine's network");
    }
}
