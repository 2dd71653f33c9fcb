//! The calling process's mounts, and making a tree of them read-only.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::StartError;

/// One line of `/proc/self/mountinfo`.
struct Entry {
    mount_point: PathBuf,
    flags: MsFlags,
}

/// Makes every mount at or below `directory` read-only. What cannot be is taken out of sight.
///
/// In a user namespace the kernel insists on the restrictions a mount already has, so they are repeated.
pub(super) fn make_read_only(directory: &Path) -> Result<(), StartError> {
    let text = std::fs::read("/proc/self/mountinfo").map_err(StartError::step("read the mounts"))?;
    let entries = text.split(|byte| *byte == b'\n').filter_map(parse);
    for entry in
        entries.filter(|entry| entry.mount_point.starts_with(directory) && entry.mount_point != directory)
    {
        if set_read_only(&entry.mount_point, entry.flags).is_err() {
            let path = &entry.mount_point;
            umount2(path, MntFlags::MNT_DETACH)
                .map_err(StartError::step(format!("make {} read-only or unmount it", path.display())))?;
        }
    }
    Ok(())
}

/// Makes one mount read-only, keeping its other restrictions.
pub(super) fn set_read_only(path: &Path, flags: MsFlags) -> nix::Result<()> {
    let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, path, None::<&str>, flags, None::<&str>)
}

fn parse(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mount_point = PathBuf::from(unescape(fields.nth(4)?));
    let options = std::str::from_utf8(fields.next()?).ok()?;
    let flags = options.split(',').map(flag).fold(MsFlags::empty(), |all, flag| all | flag);
    Some(Entry { mount_point, flags })
}

fn flag(option: &str) -> MsFlags {
    match option {
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    }
}

/// Space, tab, newline and backslash are written as `\040` and so on.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let code = (*first == b'\\' && behind.len() >= 3)
            .then(|| std::str::from_utf8(&behind[..3]).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    OsString::from_vec(bytes)
}

/// Restrictions of the mount that holds `path`, read from the longest mount point above it.
pub(super) fn flags_of(path: &Path) -> MsFlags {
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let entries = text.split(|byte| *byte == b'\n').filter_map(parse);
    let holding = entries.filter(|entry| path.starts_with(&entry.mount_point));
    // The last of equals covers the others.
    holding
        .max_by_key(|entry| entry.mount_point.as_os_str().as_bytes().len())
        .map_or(MsFlags::empty(), |entry| entry.flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_gives_its_unescaped_mount_point_and_restrictions() {
        let entry =
            parse(br"36 35 98:0 /mnt1 /mnt\040two rw,nosuid,relatime master:1 - ext3 /dev/root rw").unwrap();
        assert_eq!(entry.mount_point, Path::new("/mnt two"));
        assert_eq!(entry.flags, MsFlags::MS_NOSUID | MsFlags::MS_RELATIME);
        assert!(parse(b"").is_none());
    }
}
