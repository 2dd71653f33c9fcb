//! Prometheus: the program of this machine, which finds pods as its image does.
//!
//! Distributions build it without discovery through Kubernetes (`kubernetes_sd_configs`). What is configured that way is found out here and
//! handed over as files (`file_sd_configs`), so that manifests written for the image work. It runs from a copy of the configuration, which
//! is made again when the original changes.

mod configuration;
mod objects;
mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use self::configuration::{Discovery, Translated};
use self::objects::Objects;
use super::SampleError;
use super::serve::stopped;

/// How often pods, and the configuration, are looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// Where the image has its configuration.
const CONFIGURATION: &str = "/etc/prometheus/prometheus.yml";
/// Where it keeps its data unless told otherwise.
const STORAGE: &str = "data/";
/// Folder of the copy and the targets, below that of the data: that one can be written to, whatever else of the container is read-only.
const FOLDER: &str = "kubernetes-discovery";

/// Runs the machine's Prometheus until it ends, or this is told to. Returns its exit code.
pub(super) async fn run(arguments: &[String]) -> Result<i32, SampleError> {
    let folder = PathBuf::from(value_of(arguments, "storage.tsdb.path").unwrap_or(STORAGE)).join(FOLDER);
    std::fs::create_dir_all(&folder)
        .map_err(|error| refused(format!("cannot make {}: {error}", folder.display())))?;
    let folder = folder.canonicalize().map_err(|error| refused(format!("{}: {error}", folder.display())))?;
    let original = value_of(arguments, "config.file").unwrap_or(CONFIGURATION);
    let mut supervised = Supervised::new(original.into(), folder);
    supervised.translate().map_err(refused)?;
    let mut child = start(arguments, &supervised.copy)?;
    let stop = stopped();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map(code).map_err(SampleError::Serve),
            () = &mut stop => {
                tell(&child, Signal::SIGTERM);
                return child.wait().await.map(code).map_err(SampleError::Serve);
            }
            changed = supervised.next() => if changed { tell(&child, Signal::SIGHUP) },
        }
    }
}

/// The configuration that the arguments name, and what was made of it.
struct Supervised {
    original: PathBuf,
    folder: PathBuf,
    /// What the program reads.
    copy: PathBuf,
    text: String,
    discoveries: Vec<Discovery>,
    objects: Option<Objects>,
    /// What files say already.
    written: BTreeMap<PathBuf, String>,
}

impl Supervised {
    fn new(original: PathBuf, folder: PathBuf) -> Self {
        let copy = folder.join("prometheus.yml");
        Self {
            original,
            folder,
            copy,
            text: String::new(),
            discoveries: Vec::new(),
            objects: None,
            written: BTreeMap::new(),
        }
    }

    /// Makes the copy, and empty files for targets that are yet to be found.
    fn translate(&mut self) -> Result<(), String> {
        let text = std::fs::read_to_string(&self.original)
            .map_err(|error| format!("cannot read {}: {error}", self.original.display()))?;
        let Translated { text: copy, discoveries } =
            configuration::translate(&text, &self.original, &self.folder)?;
        for discovery in &discoveries {
            self.put(&discovery.file.clone(), "[]")?;
        }
        self.put(&self.copy.clone(), &copy)?;
        self.discoveries = discoveries;
        self.text = text;
        Ok(())
    }

    /// Waits a while, then brings the targets up to date; whether the program has to read its configuration again.
    async fn next(&mut self) -> bool {
        if !self.written.is_empty() {
            self.find().await;
        }
        tokio::time::sleep(INTERVAL).await;
        let now = std::fs::read_to_string(&self.original).unwrap_or_default();
        if now == self.text || now.is_empty() {
            return false;
        }
        match self.translate() {
            Ok(()) => true,
            Err(problem) => {
                eprintln!("the last configuration stays: {problem}");
                self.text = now;
                false
            }
        }
    }

    async fn find(&mut self) {
        if self.discoveries.is_empty() {
            return;
        }
        if self.objects.is_none() {
            self.objects = Objects::connect().map_err(|problem| eprintln!("no targets: {problem}")).ok();
        }
        let Some(objects) = &self.objects else { return };
        let mut found = Vec::new();
        for discovery in &self.discoveries {
            match objects.groups(discovery).await {
                Ok(groups) => {
                    found.push((discovery.file.clone(), serde_json::Value::from(groups).to_string()))
                }
                Err(problem) => eprintln!("the targets of role {} stay: {problem}", discovery.role.as_str()),
            }
        }
        for (file, text) in found {
            if let Err(problem) = self.put(&file, &text) {
                eprintln!("{problem}");
            }
        }
    }

    /// Replaces a file at once, so that nobody reads half of it.
    fn put(&mut self, path: &Path, text: &str) -> Result<(), String> {
        if self.written.get(path).is_some_and(|written| written == text) {
            return Ok(());
        }
        let draft = path.with_extension("draft");
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, path))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        self.written.insert(path.to_owned(), text.to_owned());
        Ok(())
    }
}

fn refused(problem: String) -> SampleError {
    SampleError::Argument { applet: "prometheus", problem }
}

/// The value of a flag, in either way of writing.
fn value_of<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(flag) = argument.trim_start_matches('-').strip_prefix(name) else { continue };
        match flag.strip_prefix('=') {
            Some(value) => return Some(value),
            None if flag.is_empty() => return rest.next().map(String::as_str),
            None => {}
        }
    }
    None
}

/// The arguments with the copy in the place of the original. A flag that is given twice is refused by the program.
fn with_copy(arguments: &[String], copy: &Path) -> Vec<String> {
    let mut made = vec![format!("--config.file={}", copy.display())];
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.trim_start_matches('-').strip_prefix("config.file") {
            Some("") => {
                let _value = rest.next();
            }
            Some(value) if value.starts_with('=') => {}
            _ => made.push(argument.clone()),
        }
    }
    made
}

fn start(arguments: &[String], copy: &Path) -> Result<Child, SampleError> {
    let mut command = Command::new("prometheus");
    command.args(with_copy(arguments, copy)).kill_on_drop(true);
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refused(
            "this machine has no program of that name, and the embedded cluster pulls no images: install it (apt-get install prometheus)"
                .to_owned(),
        ),
        _ => refused(format!("cannot start the program: {error}")),
    })
}

fn tell(child: &Child, signal: Signal) {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // It may have ended by itself.
        let _gone = kill(Pid::from_raw(id), signal);
    }
}

/// As a shell has it: what a signal ended counts 128 more than the signal.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_takes_the_place_of_the_configuration() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (given, original, rest) in [
            ("--config.file=/a/b.yml --x", Some("/a/b.yml"), vec!["--x"]),
            ("--y --config.file /c.yml", Some("/c.yml"), vec!["--y"]),
            ("--config.files=z", None, vec!["--config.files=z"]),
        ] {
            let given = words(given);
            assert_eq!(value_of(&given, "config.file"), original);
            let made = with_copy(&given, Path::new("/copy"));
            assert_eq!(
                (made[0].as_str(), &made[1..]),
                (
                    "--config.file=/copy",
                    rest.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>().as_slice()
                )
            );
        }
    }
}
