//! The program as a user runs it: a process with arguments, exit code, stdout and stderr.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a command did.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with nothing of the caller's environment that could lead it to a cluster.
pub(crate) fn sagene() -> Command {
    sagene_at(env!("CARGO_BIN_EXE_sagene"))
}

/// The same, from a file of its own.
pub(crate) fn sagene_at(file: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(file);
    command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").env("NO_COLOR", "1");
    command
}

/// Runs a command with `input` on stdin.
pub(crate) fn finish(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin");
    // A program that does not read its stdin may be gone already.
    let _gone = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
