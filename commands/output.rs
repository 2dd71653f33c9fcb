//! Printing: stdout is data, stderr is progress. A closed pipe ends the program quietly.

mod format;
mod table;

use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::exit::Failure;

pub(crate) use format::{View, to_json, to_yaml};
pub(crate) use table::Table;

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`. The default.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl std::str::FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "always" | "true" => Ok(Self::Always),
            "never" | "false" => Ok(Self::Never),
            other => Err(format!("{other:?} is not auto, always or never")),
        }
    }
}

impl Color {
    /// Decides once for the whole run and tells `colored`.
    pub(crate) fn install(self) {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        colored::control::set_override(match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => !plain && io::stdout().is_terminal(),
        });
    }
}

/// Writes text to stdout as it is.
pub(crate) fn data(text: &str) {
    finish(io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()));
}

/// Writes bytes to stdout as they are.
pub(crate) fn bytes(bytes: &[u8]) {
    finish(io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush()));
}

/// Writes one line to stdout.
pub(crate) fn line(text: &str) {
    let mut stdout = io::stdout().lock();
    finish(writeln!(stdout, "{text}"));
}

/// Writes one line to stderr. A closed stderr is nobody's loss.
pub(crate) fn progress(text: &str) {
    let _closed = writeln!(io::stderr().lock(), "{text}");
}

fn finish(result: io::Result<()>) {
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            progress(&format!("Error: cannot write to stdout: {error}"));
            std::process::exit(1);
        }
    }
}

/// Asks a yes-or-no question on the terminal. Anything but y or yes, and a closed stdin, is no.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} (y/N) ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
