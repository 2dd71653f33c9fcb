//! The folder with limits, read at the start and whenever it changes. Limits with a mistake never replace good ones.

use std::path::Path;
use std::time::Duration;

use super::limits::Limits;
use super::{Service, log};

/// How often the folder is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longest file, in bytes.
const LONGEST: u64 = 1 << 20;
/// Most files.
const MOST: usize = 1_000;
/// How deep folders are followed.
const DEPTH: usize = 8;

type Files = Vec<(String, String)>;

/// Reads the folder again and again; never returns.
pub(super) async fn watch(service: &Service) {
    let mut before: Option<Result<Files, String>> = None;
    loop {
        let files = read(&service.settings.directory, service.settings.ignores_dot_files);
        if before.as_ref() != Some(&files) {
            load(service, &files);
            before = Some(files);
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn load(service: &Service, files: &Result<Files, String>) {
    match files.as_ref().map_err(Clone::clone).and_then(|files| Limits::read(files)) {
        Ok(limits) => {
            service.statistics.add("ratelimit.service.config_load_success".to_owned(), 1);
            log::debug(|| format!("successfully loaded new configuration:\n{}", limits.shown()));
            service.set_limits(limits);
        }
        Err(problem) => {
            service.statistics.add("ratelimit.service.config_load_error".to_owned(), 1);
            log::error(&format!("error loading new configuration from runtime: {problem}"));
        }
    }
}

/// All files of a folder, by name.
fn read(directory: &Path, ignores_dot_files: bool) -> Result<Files, String> {
    let mut files = Vec::new();
    collect(directory, "", ignores_dot_files, DEPTH, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(
    directory: &Path,
    prefix: &str,
    ignores_dot_files: bool,
    depth: usize,
    files: &mut Files,
) -> Result<(), String> {
    let problem = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    for entry in std::fs::read_dir(directory).map_err(|error| problem(directory, error))? {
        let path = entry.map_err(|error| problem(directory, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if ignores_dot_files && name.starts_with('.') {
            continue;
        }
        // Links count as what they lead to: volumes of config maps are made of them.
        let about = std::fs::metadata(&path).map_err(|error| problem(&path, error))?;
        let name = format!("{prefix}{name}");
        if about.is_dir() {
            if depth > 0 {
                collect(&path, &format!("{name}/"), ignores_dot_files, depth - 1, files)?;
            }
            continue;
        }
        if about.len() > LONGEST || files.len() >= MOST {
            return Err(format!("{name}: more than {MOST} files, or longer than {LONGEST} bytes"));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| problem(&path, error))?;
        files.push((name, text));
    }
    Ok(())
}
