//! Writing a volume's files so that readers see either all old or all new ones, as the kubelet does: the files lie in a folder with a
//! new name each time, `..data` points at it, and what containers read are links through `..data`.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::content::Files;

const DATA: &str = "..data";

/// Makes a folder's name unlike all others of this process.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Replaces the content of a volume.
pub(super) fn directory(path: &Path, files: &Files, group: Option<u32>) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    let generation = format!("..{}", GENERATION.fetch_add(1, Ordering::Relaxed));
    let folder = path.join(&generation);
    for (name, (mode, content)) in files {
        let target = folder.join(name);
        let mode = if group.is_some() { mode | 0o040 } else { *mode };
        file(&target, content, mode)?;
        if group.is_some() {
            chown(&target, None, group)?;
        }
    }
    fs::create_dir_all(&folder)?;
    let before = fs::read_link(path.join(DATA)).ok();
    let draft = path.join("..data_tmp");
    let _ = fs::remove_file(&draft);
    symlink(&generation, &draft)?;
    fs::rename(&draft, path.join(DATA))?;
    link_names(path, files)?;
    if let Some(before) = before {
        fs::remove_dir_all(path.join(before))?;
    }
    Ok(())
}

/// One link for each first part of a name; links whose name is gone are removed.
fn link_names(path: &Path, files: &Files) -> io::Result<()> {
    let first = |name: &str| name.split('/').next().unwrap_or(name).to_owned();
    let wanted: std::collections::BTreeSet<String> = files.keys().map(|name| first(name)).collect();
    for entry in fs::read_dir(path)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Directories are mount points.
        let is_link = entry.file_type()?.is_symlink();
        if is_link && !name.starts_with("..") && !wanted.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    for name in wanted {
        let link = path.join(&name);
        if link.symlink_metadata().is_err() {
            symlink(PathBuf::from(DATA).join(&name), link)?;
        }
    }
    Ok(())
}

/// Writes one file with its folders.
pub(super) fn file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_together_and_what_is_gone_goes() {
        let directory_ = tempfile::tempdir().unwrap();
        let path = directory_.path().join("volume");
        let files = |pairs: &[(&str, &str)]| -> Files {
            pairs.iter().map(|(name, text)| ((*name).to_owned(), (0o600, text.as_bytes().to_vec()))).collect()
        };
        directory(&path, &files(&[("a", "1"), ("deep/b", "2")]), None).unwrap();
        assert_eq!(fs::read_to_string(path.join("deep/b")).unwrap(), "2");
        directory(&path, &files(&[("a", "3")]), None).unwrap();
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "3");
        assert!(!path.join("deep").exists());
        assert_eq!(fs::metadata(path.join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        // The data folder, its link, and the one name.
        assert_eq!(fs::read_dir(&path).unwrap().count(), 3);
    }
}
