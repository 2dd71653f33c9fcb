//! The processes that become containers, and commands in them: they set up what only a process can for itself, then execute the
//! program in their place. Single-threaded, no runtime.

mod devices;
mod mount_point;
mod mount_table;
mod privileges;
mod root_filesystem;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::container_spec::{ContainerSpec, PROGRAM_PATH, ProgramSpec};

/// Exit code of a container whose program could not be started, as container runtimes have it.
pub(crate) const START_ERROR: u8 = 128;

/// Why the program was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The specification is unreadable.
    #[error("cannot read the container's specification {0}")]
    Specification(PathBuf, #[source] io::Error),
    /// A step failed.
    #[error("cannot {action}")]
    Step {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The program does not exist.
    #[error("exec: \"{0}\": executable file not found on this machine's PATH")]
    NotFound(String),
    /// The program cannot be executed.
    #[error("exec: \"{program}\"")]
    Execute {
        /// As given.
        program: String,
        /// Why.
        source: io::Error,
    },
}

impl StartError {
    pub(super) fn step<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::Step { action, source: source.into() }
    }

    fn text(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// Becomes a container: the one argument is the file of its specification. Returns only on failure.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let Some(path) = arguments.first().map(Path::new) else { return ExitCode::from(2) };
    let specification = std::fs::read(path)
        .and_then(|bytes| serde_json::from_slice::<ContainerSpec>(&bytes).map_err(io::Error::from))
        .map_err(|source| StartError::Specification(path.to_owned(), source));
    let specification = match specification {
        Ok(specification) => specification,
        Err(error) => return fail(&error, None),
    };
    // Opened now: afterwards the path no longer exists for this process.
    let error_file = File::create(&specification.error_file).ok();
    let failed = match root_filesystem::enter(&specification.root) {
        Ok(()) => execute(&specification.program),
        Err(error) => error,
    };
    fail(&failed, error_file)
}

/// Becomes a command inside a container: the one argument is a [`ProgramSpec`] as JSON. Returns only on failure.
pub(crate) fn run_exec(arguments: &[OsString]) -> ExitCode {
    let program = arguments.first().and_then(|text| serde_json::from_str::<ProgramSpec>(text.to_str()?).ok());
    let Some(program) = program else { return ExitCode::from(2) };
    let failed = execute(&program);
    let not_found = matches!(failed, StartError::NotFound(_));
    fail(&failed, None);
    // As shells have it.
    ExitCode::from(if not_found { 127 } else { 126 })
}

fn fail(error: &StartError, error_file: Option<File>) -> ExitCode {
    let text = error.text();
    eprintln!("{text}");
    if let Some(mut file) = error_file {
        // The node then reports an exit code without a reason.
        let _ = file.write_all(text.as_bytes());
    }
    ExitCode::from(START_ERROR)
}

fn execute(program: &ProgramSpec) -> StartError {
    match prepare(program) {
        Ok(mut command) => {
            let name = program.arguments[0].clone();
            let source = command.exec();
            match source.kind() {
                io::ErrorKind::NotFound => StartError::NotFound(name),
                _ => StartError::Execute { program: name, source },
            }
        }
        Err(error) => error,
    }
}

/// This program under one of the names that the image gives it, where the image has it in another folder: `/usr/bin/fortio`.
fn own_name(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    if !path.is_absolute() || !is_absent(path) {
        return None;
    }
    let ours = Path::new(root_filesystem::NAMES_DIRECTORY).join(path.file_name()?);
    let is_ours = std::fs::read_link(&ours).is_ok_and(|target| target == Path::new(PROGRAM_PATH));
    is_ours.then_some(ours)
}

/// A file that may be there but not for this user is not absent: what was asked for must fail, and not be another program.
fn is_absent(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

fn prepare(program: &ProgramSpec) -> Result<Command, StartError> {
    let Some((name, arguments)) = program.arguments.split_first() else {
        return Err(StartError::NotFound(String::new()));
    };
    if program.terminal {
        privileges::take_terminal()?;
    }
    let directory = if program.working_directory.is_empty() { "/" } else { &program.working_directory };
    std::env::set_current_dir(directory)
        .map_err(StartError::step(format!("change to the working directory {directory}")))?;
    privileges::drop(program)?;
    let mut command = Command::new(own_name(name).as_deref().unwrap_or(Path::new(name)));
    command.args(arguments).env_clear().envs(program.environment.iter().map(|(name, value)| (name, value)));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_absent_has_a_stand_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        assert!(is_absent(&folder.path().join("nothing")));
        assert!(!is_absent(&file));
        // Nobody can look below a file, as a user cannot look into a folder that is closed to him.
        assert!(!is_absent(&file.join("below")));
    }
}
