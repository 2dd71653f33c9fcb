//! A local file or folder as a tar archive.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;

use crate::archive::TarWriter;
use crate::exit::Failure;

/// Everything at `from`, called `name` in the archive. Links are followed, what is neither file nor folder is left out.
pub(super) fn pack(from: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let mut tar = TarWriter::new(Vec::new(), SystemTime::now());
    let mut left = vec![(from.to_owned(), name.to_owned())];
    while let Some((path, name)) = left.pop() {
        let reading = || format!("cannot read {}", path.display());
        let metadata = std::fs::metadata(&path).with_context(reading)?;
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path).with_context(reading)? {
                let entry = entry?;
                left.push((entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy())));
            }
        } else if metadata.is_file() {
            let mut file = File::open(&path).with_context(reading)?;
            tar.file(&name, metadata.len(), &mut file)?;
        }
    }
    Ok(tar.finish()?)
}
