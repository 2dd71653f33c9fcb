//! Places in the container's file system to mount something on, made where there are none.
//!
//! The machine's directories are bound read-only. Where one of them needs an entry it does not have, it is replaced by a directory
//! in memory that holds its old entries, each bound again: a mirror. Nothing is ever made on the machine's own file systems.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Component, Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::{StartError, devices};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;

/// What has to be at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// Returns the place that `target` (absolute, as the container sees it) means below `root`, making it if it is missing.
/// Symbolic links are followed as the container would.
pub(super) fn ensure(root: &Path, target: &Path, kind: Kind) -> Result<PathBuf, StartError> {
    let mut place = root.to_owned();
    let mut remaining = components(target);
    let mut links = 0;
    while let Some(name) = remaining.pop() {
        if name == ".." {
            if place != root {
                place.pop();
            }
            continue;
        }
        let next = place.join(&name);
        match next.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => {
                links += 1;
                let link =
                    fs::read_link(&next).map_err(StartError::step(format!("follow {}", next.display())))?;
                let dangling = remaining.is_empty() && !resolves(root, &place, &link);
                if links > MAX_LINKS || (kind == Kind::File && dangling) {
                    // A file that only exists on the machine by way of a directory that containers do not see, such as
                    // /etc/resolv.conf: the link itself is replaced.
                    return replace_link(&place, &next);
                }
                if link.is_absolute() {
                    place = root.to_owned();
                }
                remaining.extend(components(&link));
            }
            Ok(_) => place = next,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let kind = if remaining.is_empty() { kind } else { Kind::Directory };
                create(&place, &next, kind)?;
                place = next;
            }
            Err(source) => {
                return Err(StartError::Step { action: format!("look at {}", next.display()), source });
            }
        }
    }
    Ok(place)
}

/// The names of a path, last one first.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

fn resolves(root: &Path, place: &Path, link: &Path) -> bool {
    let target = match link.strip_prefix("/") {
        Ok(relative) => root.join(relative),
        Err(_) => place.join(link),
    };
    target.symlink_metadata().is_ok()
}

fn create(parent: &Path, path: &Path, kind: Kind) -> Result<(), StartError> {
    let make = || match kind {
        Kind::Directory => fs::create_dir(path),
        Kind::File => File::create(path).map(drop),
    };
    match make() {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
            ) =>
        {
            mirror(parent)?;
            make().map_err(StartError::step(format!("create {}", path.display())))
        }
        Err(source) => Err(StartError::Step { action: format!("create {}", path.display()), source }),
    }
}

fn replace_link(parent: &Path, link: &Path) -> Result<PathBuf, StartError> {
    if fs::remove_file(link).is_err() {
        mirror(parent)?;
        fs::remove_file(link).map_err(StartError::step(format!("replace the link {}", link.display())))?;
    }
    File::create(link).map_err(StartError::step(format!("create {}", link.display())))?;
    Ok(link.to_owned())
}

/// Replaces a read-only directory by one in memory with the same entries.
pub(super) fn mirror(directory: &Path) -> Result<(), StartError> {
    let refused = |what: &str| format!("{what} {}", directory.display());
    let mode = directory.metadata().map_err(StartError::step(refused("look at")))?.mode();
    let entries = fs::read_dir(directory).map_err(StartError::step(refused("list")))?;
    let entries: Vec<fs::DirEntry> = entries.flatten().collect();
    let none = None::<&str>;
    // The old directory is covered by the new one; it stays reachable through the file descriptor's path.
    let old = File::open(directory).map_err(StartError::step(refused("open")))?;
    let old_path = PathBuf::from(format!("/proc/self/fd/{}", old.as_raw_fd()));
    devices::tmpfs(directory, &format!("mode={:o}", mode & 0o7777))?;
    for entry in entries {
        let (source, target) = (old_path.join(entry.file_name()), directory.join(entry.file_name()));
        let Ok(file_type) = entry.file_type() else { continue };
        if file_type.is_symlink() {
            let link = fs::read_link(&source).map_err(StartError::step(refused("read a link in")))?;
            symlink(link, &target).map_err(StartError::step(refused("copy a link in")))?;
            continue;
        }
        let made = if file_type.is_dir() { fs::create_dir(&target) } else { File::create(&target).map(drop) };
        made.map_err(StartError::step(refused("make an entry in")))?;
        mount(Some(&source), &target, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)
            .map_err(StartError::step(refused("bind an entry of")))?;
    }
    Ok(())
}
