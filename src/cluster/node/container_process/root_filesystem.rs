//! A container's file system: the machine's directories read-only, with `/dev`, `/proc`, `/tmp` and `/run` of its own, the volumes,
//! and this program.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::mount_point::{self, Kind};
use super::{StartError, devices, mount_table};
use crate::node::container_spec::{MountSpec, PROGRAM_PATH, RootSpec};

/// Entries of `/` that every container gets anew.
const OWN: [&str; 4] = ["dev", "proc", "tmp", "run"];

/// Where the names of this program go.
pub(super) const NAMES_DIRECTORY: &str = "/usr/local/bin";

/// Builds the file system and makes it the process's root. The process must be in a mount namespace of its own and be the first of
/// its PID namespace.
pub(super) fn enter(spec: &RootSpec) -> Result<(), StartError> {
    let root = spec.build_directory.as_path();
    devices::tmpfs(root, "mode=0755")?;
    bind_machine(root)?;
    mount_table::make_read_only(root)?;
    make_own(root)?;
    for hidden in &spec.hidden {
        hide(root, hidden)?;
    }
    bind_program(root, spec)?;
    for folder in &spec.written_folders {
        let inside = mount_point::ensure(root, folder, Kind::Directory)?;
        devices::tmpfs(&inside, "mode=1777")?;
    }
    for mount in &spec.mounts {
        bind_volume(root, mount)?;
    }
    if spec.read_only {
        for directory in [root.join("tmp"), root.to_owned()] {
            mount_table::set_read_only(&directory, MsFlags::MS_NOSUID)
                .map_err(StartError::step("make the root file system read-only"))?;
        }
    }
    change_root(root)
}

fn bind_machine(root: &Path) -> Result<(), StartError> {
    let entries = fs::read_dir("/").map_err(StartError::step("list /"))?;
    for entry in entries.flatten() {
        let (source, target) = (entry.path(), root.join(entry.file_name()));
        let Ok(file_type) = entry.file_type() else { continue };
        if OWN.iter().any(|own| entry.file_name() == *own) {
            continue;
        }
        let refused = || format!("bind {}", source.display());
        if file_type.is_symlink() {
            let link = fs::read_link(&source).map_err(StartError::step(refused()))?;
            symlink(link, &target).map_err(StartError::step(refused()))?;
            continue;
        }
        let made = if file_type.is_dir() { fs::create_dir(&target) } else { File::create(&target).map(drop) };
        made.map_err(StartError::step(refused()))?;
        mount(Some(&source), &target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
            .map_err(StartError::step(refused()))?;
    }
    Ok(())
}

fn make_own(root: &Path) -> Result<(), StartError> {
    for name in OWN {
        fs::create_dir(root.join(name)).map_err(StartError::step(format!("create /{name}")))?;
    }
    devices::tmpfs(&root.join("tmp"), "mode=1777")?;
    devices::tmpfs(&root.join("run"), "mode=0755")?;
    devices::create(&root.join("dev"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), &root.join("proc"), Some("proc"), flags, None::<&str>)
        .map_err(StartError::step("mount /proc"))
}

/// Covers a directory of the machine, if the container would see it.
fn hide(root: &Path, directory: &Path) -> Result<(), StartError> {
    let inside = root.join(directory.strip_prefix("/").unwrap_or(directory));
    if !inside.is_dir() {
        return Ok(());
    }
    devices::tmpfs(&inside, "mode=0000,size=4k")
}

fn bind_program(root: &Path, spec: &RootSpec) -> Result<(), StartError> {
    let inside = root.join(PROGRAM_PATH.trim_start_matches('/'));
    File::create(&inside).map_err(StartError::step(format!("create {PROGRAM_PATH}")))?;
    bind(&spec.program_file, &inside, true)?;
    let names = mount_point::ensure(root, Path::new(NAMES_DIRECTORY), Kind::Directory)?;
    mount_point::mirror(&names)?;
    for name in &spec.program_names {
        let link = names.join(name);
        if link.symlink_metadata().is_ok() {
            // The machine's own program of this name: covered by ours.
            if fs::remove_file(&link).is_err() {
                umount2(&link, MntFlags::MNT_DETACH)
                    .map_err(StartError::step(format!("replace {}", link.display())))?;
                fs::remove_file(&link).map_err(StartError::step(format!("replace {}", link.display())))?;
            }
        }
        symlink(PROGRAM_PATH, &link).map_err(StartError::step(format!("create {}", link.display())))?;
    }
    Ok(())
}

fn bind_volume(root: &Path, spec: &MountSpec) -> Result<(), StartError> {
    let source =
        spec.source.metadata().map_err(StartError::step(format!("find {}", spec.source.display())))?;
    let kind = if source.is_dir() { Kind::Directory } else { Kind::File };
    let target = mount_point::ensure(root, &spec.target, kind)?;
    bind(&spec.source, &target, spec.read_only)
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Result<(), StartError> {
    let refused = || format!("bind {} to {}", source.display(), target.display());
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(StartError::step(refused()))?;
    if read_only {
        let flags = mount_table::flags_of(target);
        mount_table::set_read_only(target, flags)
            .map_err(StartError::step(format!("{} read-only", refused())))?;
    }
    Ok(())
}

fn change_root(root: &Path) -> Result<(), StartError> {
    std::env::set_current_dir(root).map_err(StartError::step("enter the root file system"))?;
    // Stacks the new root on top of the old one, which then lies under the working directory and is dropped with all its mounts.
    nix::unistd::pivot_root(".", ".").map_err(StartError::step("change the root file system"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(StartError::step("leave the old root file system"))?;
    std::env::set_current_dir("/").map_err(StartError::step("enter the root file system"))
}
