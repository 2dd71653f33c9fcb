//! How a command ends: exit codes, and errors with hints, printed in one place.

use std::fmt::Display;
use std::process::ExitCode;

use crate::output;

/// Documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0.
    Success,
    /// 1: any error without a code of its own, or a refused prompt.
    Failure,
    /// 64: a command line that does not parse.
    Usage,
    /// 65: `analyze` could not read some input.
    #[allow(dead_code, reason = "the analyze command uses it")]
    DataError,
    /// 79: `analyze` found messages at or above the threshold.
    #[allow(dead_code, reason = "the analyze command uses it")]
    AnalyzerFoundIssues,
    /// The code of a program run in a container.
    Program(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::FAILURE,
            Exit::Usage => Self::from(64),
            Exit::DataError => Self::from(65),
            Exit::AnalyzerFoundIssues => Self::from(79),
            Exit::Program(code) => Self::from(code),
        }
    }
}

/// An error on its way to the user: a chain of causes, hints, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// `Error: ` for the mesh's commands; kubectl's errors bring their own beginning.
    pub(crate) prefix: &'static str,
    pub(crate) error: anyhow::Error,
    pub(crate) hints: Vec<String>,
}

/// What a command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A message without a cause.
    pub(crate) fn new(message: impl Display) -> Self {
        anyhow::anyhow!("{message}").into()
    }

    /// An error of the command line, exit code 64.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message) }
    }

    /// The same, with a way out. Hints are printed after the error, one a line.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts what was being done before the cause.
    pub(crate) fn context(mut self, message: impl Display + Send + Sync + 'static) -> Self {
        self.error = self.error.context(message);
        self
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: Exit::Failure, prefix: "Error: ", error: error.into(), hints: Vec::new() }
    }
}

/// Prints the error, if any, to stderr and gives the process its code.
pub(crate) fn report(outcome: Outcome) -> ExitCode {
    let failure = match outcome {
        Ok(exit) => return exit.into(),
        Err(failure) => failure,
    };
    output::progress(&format!("{}{}", failure.prefix, chain(&failure.error)));
    for hint in &failure.hints {
        output::progress(&format!("  hint: {hint}"));
    }
    failure.exit.into()
}

/// All causes in one line; a cause that repeats the one before is left out.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}
