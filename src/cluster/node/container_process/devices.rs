//! `/dev` of a container: the harmless devices, terminals of its own, shared memory.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::StartError;

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Fills `directory`, which is to be `/dev`.
pub(super) fn create(directory: &Path) -> Result<(), StartError> {
    tmpfs(directory, "mode=0755")?;
    for name in DEVICES {
        let (outside, inside) = (Path::new("/dev").join(name), directory.join(name));
        if outside.exists() {
            File::create(&inside).map_err(StartError::step(format!("create /dev/{name}")))?;
            mount(Some(&outside), &inside, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .map_err(StartError::step(format!("bind /dev/{name}")))?;
        }
    }
    let terminals = directory.join("pts");
    fs::create_dir(&terminals).map_err(StartError::step("create /dev/pts"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("devpts"), &terminals, Some("devpts"), flags, Some("newinstance,ptmxmode=0666,mode=0620"))
        .map_err(StartError::step("mount /dev/pts"))?;
    let memory = directory.join("shm");
    fs::create_dir(&memory).map_err(StartError::step("create /dev/shm"))?;
    tmpfs(&memory, "mode=1777")?;
    let links = [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    for (name, target) in links {
        symlink(target, directory.join(name)).map_err(StartError::step(format!("create /dev/{name}")))?;
    }
    Ok(())
}

/// An empty directory in memory.
pub(super) fn tmpfs(directory: &Path, options: &str) -> Result<(), StartError> {
    mount(Some("tmpfs"), directory, Some("tmpfs"), MsFlags::MS_NOSUID, Some(options))
        .map_err(StartError::step(format!("mount a tmpfs on {}", directory.display())))
}
