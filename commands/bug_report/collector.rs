//! Does the steps, many at once, into files of a folder that goes when the collector does.

mod sink;
mod sources;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use jiff::Timestamp;
use kube::Client;

use super::gzip::GzipWriter;
use super::logs::Importance;
use super::settings::Settings;
use super::step::Step;
use crate::archive::TarWriter;
use crate::exit::{Failure, chain};
use sink::Sink;

/// Longest time of one step; what came until then is kept.
const STEP_TIME: Duration = Duration::from_secs(300);
/// Most bytes of one file.
const FILE_LIMIT: u64 = 64 << 20;
/// Most bytes on disk while collecting.
const FOLDER_LIMIT: u64 = 2 << 30;
/// Most bytes of content in the archive; where there are more, the least important logs are left out.
const ARCHIVE_LIMIT: u64 = 512 << 20;
/// Folder inside the archive.
const ROOT: &str = "bug-report";
/// What was done, and what could not be.
const LOG: &str = "bug-report.log";

/// One run.
pub(super) struct Collector<'s> {
    folder: PathBuf,
    client: Client,
    settings: &'s Settings,
    /// When everything has to be over.
    deadline: Instant,
    /// Bytes that may still be written.
    left: Cell<u64>,
    opened: Cell<usize>,
    failures: Cell<usize>,
    log: RefCell<String>,
    /// Files, by their names in the archive: where they are, and for logs how important.
    files: RefCell<BTreeMap<String, (PathBuf, Option<u64>)>>,
}

impl<'s> Collector<'s> {
    /// Makes the folder.
    pub(super) fn new(folder: &Path, client: Client, settings: &'s Settings) -> io::Result<Self> {
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent)?;
        }
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().mode(0o700).create(folder)?;
        let collector = Self {
            folder: folder.to_owned(),
            client,
            settings,
            deadline: Instant::now() + settings.timeout,
            left: Cell::new(FOLDER_LIMIT),
            opened: Cell::new(0),
            failures: Cell::new(0),
            log: RefCell::new(String::new()),
            files: RefCell::new(BTreeMap::new()),
        };
        collector.note(&format!("sagene {}", crate::version::VERSION));
        Ok(collector)
    }

    /// Does all steps; one that fails is noted.
    pub(super) async fn run(&self, steps: Vec<Step>) {
        let done = futures::stream::iter(steps)
            .map(|step| async move {
                if let Err(failure) = self.step(&step).await {
                    self.failed(&step.to_string(), &failure);
                }
            })
            .buffer_unordered(self.settings.concurrency);
        done.collect::<()>().await;
    }

    /// Waits as long as a step may take, and not beyond the end of the run.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.too_late());
        }
        match tokio::time::timeout(left.min(STEP_TIME), work).await {
            Ok(done) => done,
            Err(_) if left <= STEP_TIME => Err(self.too_late()),
            Err(_) => Err(Failure::new(format!("not whole within {} s", STEP_TIME.as_secs()))),
        }
    }

    fn too_late(&self) -> Failure {
        Failure::new(format!("the {:?} of --timeout were over", self.settings.timeout))
    }

    /// A file whose content is there already, or could not be made.
    pub(super) fn text(&self, file: &str, content: Result<String, Failure>) {
        let written = content.and_then(|content| {
            let mut sink = self.open()?;
            sink.take(content.as_bytes())?;
            self.keep(file, sink, None)
        });
        if let Err(failure) = written {
            self.failed(file, &failure);
        }
    }

    /// A line in the log.
    pub(super) fn note(&self, text: &str) {
        self.log.borrow_mut().push_str(&format!("{} {text}\n", Timestamp::now()));
    }

    /// How many steps failed.
    pub(super) fn failures(&self) -> usize {
        self.failures.get()
    }

    fn failed(&self, what: &str, failure: &Failure) {
        self.failures.set(self.failures.get() + 1);
        self.note(&format!("{what}: {}", chain(&failure.error)));
    }

    /// Names in the archive come from the cluster; names on disk are numbers.
    fn open(&self) -> Result<Sink<'_>, Failure> {
        let number = self.opened.replace(self.opened.get() + 1);
        Ok(Sink::create(self.folder.join(number.to_string()), FILE_LIMIT, &self.left)?)
    }

    fn keep(&self, file: &str, sink: Sink<'_>, importance: Option<Importance>) -> Result<(), Failure> {
        let (path, cut) = sink.close()?;
        if cut {
            self.note(&format!("{file}: too long, only a part is here"));
        }
        let weight = importance.map(Importance::weight);
        self.files.borrow_mut().insert(format!("{ROOT}/{file}"), (path, weight));
        Ok(())
    }

    /// Writes the archive: first what is no log, then the logs, the most important first, as long as there is room. The archive
    /// appears under its name when it is whole.
    pub(super) fn pack(&self, path: &Path) -> io::Result<()> {
        let unfinished = path.with_extension(format!("{}.part", std::process::id()));
        let packed = self.pack_into(&unfinished).and_then(|()| std::fs::rename(&unfinished, path));
        if packed.is_err() {
            let _absent = std::fs::remove_file(&unfinished);
        }
        packed
    }

    fn pack_into(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let gzip = GzipWriter::new(BufWriter::new(file));
        let mut tar = TarWriter::new(gzip, SystemTime::now());
        let mut room = ARCHIVE_LIMIT;
        let files = self.files.borrow();
        let mut order: Vec<(&String, &PathBuf, Option<u64>)> =
            files.iter().map(|(name, (path, weight))| (name, path, *weight)).collect();
        order.sort_by_key(|(_, _, weight)| weight.map(std::cmp::Reverse));
        for (name, path, _) in order {
            let mut content = File::open(path)?;
            let size = content.metadata()?.len();
            if size > room {
                self.note(&format!("{name}: left out, the archive has its {} MiB", ARCHIVE_LIMIT >> 20));
                continue;
            }
            room -= size;
            tar.file(name, size, &mut content)?;
        }
        let log = self.log.borrow();
        tar.file(&format!("{ROOT}/{LOG}"), log.len() as u64, &mut log.as_bytes())?;
        let buffered = tar.finish()?.finish()?;
        buffered.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl Drop for Collector<'_> {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}
