//! `hostPath` volumes: a path of this machine, checked or made as its type says.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::VolumeError;
use crate::node::pod_spec::HostPathVolume;

/// Checks the path, making it for the types that end in `OrCreate`.
pub(super) fn check(volume: &str, source: &HostPathVolume) -> Result<(), VolumeError> {
    let path = Path::new(&source.path);
    let wanted = |wanted| Err(VolumeError::HostPath { path: path.to_owned(), wanted }.in_volume(volume));
    let metadata = path.metadata();
    match (source.kind.as_str(), metadata) {
        ("DirectoryOrCreate", Err(_)) => fs::create_dir_all(path).map_err(VolumeError::file("create", path)),
        ("FileOrCreate", Err(_)) => {
            fs::File::create(path).map(drop).map_err(VolumeError::file("create", path))
        }
        ("Directory" | "DirectoryOrCreate", Ok(found)) if found.is_dir() => Ok(()),
        ("File" | "FileOrCreate", Ok(found)) if found.is_file() => Ok(()),
        ("Socket", Ok(found)) if found.file_type().is_socket() => Ok(()),
        ("CharDevice", Ok(found)) if found.file_type().is_char_device() => Ok(()),
        ("BlockDevice", Ok(found)) if found.file_type().is_block_device() => Ok(()),
        ("", Ok(_)) => Ok(()),
        ("", Err(_)) => wanted("file or directory that exists"),
        ("Directory" | "DirectoryOrCreate", _) => wanted("directory"),
        ("File" | "FileOrCreate", _) => wanted("file"),
        ("Socket", _) => wanted("socket"),
        _ => wanted("device of that type"),
    }
}
