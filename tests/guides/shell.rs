//! One bash for a whole guide, as a reader has one terminal: what a step exports, the next one sees.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that one block may take; what it waits for waits less.
const LONGEST: Duration = Duration::from_secs(600);

/// A running bash, in a folder of its own.
pub(crate) struct Shell {
    bash: Child,
    folder: PathBuf,
    typed: usize,
}

/// What a block did.
#[derive(Debug)]
pub(crate) struct Typed {
    /// Standard output and standard error, as a terminal shows them.
    pub(crate) printed: String,
    /// Line in the guide of the first command that failed.
    pub(crate) failed: Option<usize>,
    /// Whether it came to its end.
    pub(crate) ended: bool,
}

impl Shell {
    pub(crate) fn open(folder: &Path, environment: &[(String, String)]) -> std::io::Result<Self> {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder);
        command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").env("NO_COLOR", "1");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Ok(Self { bash: command.spawn()?, folder: folder.to_owned(), typed: 0 })
    }

    /// Types a block whose first line is `line` of the guide.
    pub(crate) fn run(&mut self, commands: &str, line: usize) -> std::io::Result<Typed> {
        self.typed += 1;
        let file = |kind: &str| self.folder.join(format!(".step-{}.{kind}", self.typed));
        let (script, output, done) = (file("sh"), file("out"), file("done"));
        // Lines in bash's eyes are lines of the guide.
        std::fs::write(&script, "\n".repeat(line.saturating_sub(1)) + commands)?;
        let (script, out, end) = (script.display(), output.display(), done.display());
        let typed = format!(
            "_failed=; trap ': \"${{_failed:=$LINENO}}\"' ERR\nsource '{script}' >'{out}' 2>&1 </dev/null\ntrap - ERR\n\
             printf '%s' \"$_failed\" >'{end}.new'; mv '{end}.new' '{end}'\n"
        );
        let stdin = self.bash.stdin.as_mut().ok_or_else(|| std::io::Error::other("bash is gone"))?;
        stdin.write_all(typed.as_bytes())?;
        stdin.flush()?;
        let deadline = Instant::now() + LONGEST;
        while !done.exists() && Instant::now() < deadline && self.bash.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(15));
        }
        let printed = String::from_utf8_lossy(&std::fs::read(&output).unwrap_or_default()).into_owned();
        let failed = std::fs::read_to_string(&done);
        Ok(Typed { printed, ended: failed.is_ok(), failed: failed.ok().and_then(|line| line.parse().ok()) })
    }
}

impl Drop for Shell {
    /// Ends bash with everything that it left in the background.
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.bash.id()) {
            let _gone =
                nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::SIGKILL);
        }
        let _ended = self.bash.wait();
    }
}

#[test]
fn steps_share_a_terminal_and_failures_have_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shell = Shell::open(folder.path(), &[]).expect("bash");
    let first = shell.run("export A=one\nB=two\n", 3).expect("typed");
    assert_eq!((first.failed, first.ended), (None, true), "{first:?}");
    let second = shell.run("echo $A $B\nfalse\ncat <<EOF\nlast\nEOF\n(exit 3)\n", 10).expect("typed");
    assert_eq!((second.printed.as_str(), second.failed), ("one two\nlast\n", Some(11)));
}
