//! Ending a container: the preStop hook, SIGTERM, time, SIGKILL; and what it leaves to say.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Stop;
use crate::node::events::{EventKind, PodEvents};
use crate::node::logs::ContainerLog;
use crate::node::probe::ProbeTarget;
use crate::node::process;
use crate::node::reaper::ProcessExit;

/// Every container gets this between SIGTERM and SIGKILL, even if its hook took all the time.
const LEAST_GRACE: Duration = Duration::from_secs(2);
/// Kubernetes' limits for what a container leaves to say.
const MAX_MESSAGE_BYTES: usize = 4096;
const MAX_LOG_MESSAGE_BYTES: u64 = 2048;

/// Ends the container's process; returns when it has ended. The hook runs at once, the process hears of it when the hook is over and its
/// `turn` has come, or the time is up. A shorter deadline that comes later counts.
pub(super) async fn end(
    target: &ProbeTarget,
    exit: &mut oneshot::Receiver<ProcessExit>,
    stop: Stop,
    events: &PodEvents,
    stops: &watch::Receiver<Option<Stop>>,
    turn: impl Future<Output = ()>,
) -> ProcessExit {
    let unknown = ProcessExit { code: 255, signal: None };
    let mut deadline = stop.deadline;
    if deadline > Instant::now() {
        let prepared = async { tokio::join!(pre_stop(target, deadline, events), timeout_at(deadline, turn)) };
        tokio::select! {
            ended = &mut *exit => return ended.unwrap_or(unknown),
            _ = prepared => {}
        }
        deadline = deadline.max(Instant::now() + LEAST_GRACE);
    }
    process::send_signal(target.process, Signal::SIGTERM);
    let mut stops = stops.clone();
    let shortened = async {
        let earlier = |stop: &Option<Stop>| stop.is_some_and(|stop| stop.deadline < deadline - LEAST_GRACE);
        let sooner = stops.wait_for(earlier).await.ok().and_then(|stop| *stop);
        match sooner {
            Some(stop) => sleep_until(stop.deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = &mut *exit => return ended.unwrap_or(unknown),
        () = sleep_until(deadline) => {}
        () = shortened => {}
    }
    process::send_signal(target.process, Signal::SIGKILL);
    exit.await.unwrap_or(unknown)
}

async fn pre_stop(target: &ProbeTarget, deadline: Instant, events: &PodEvents) {
    let Some(hook) = &target.container.lifecycle.pre_stop else { return };
    if let Err(failure) = target.hook(hook, deadline - Instant::now()).await {
        let message = format!("PreStopHook failed: {failure}");
        events.container(EventKind::Warning, "FailedPreStopHook", &message, &target.container.name);
    }
}

/// The termination message file; when it is empty and `log` is given, the end of the log.
pub(super) fn last_words(file: Option<&Path>, log: Option<Arc<ContainerLog>>) -> String {
    let mut bytes = file.and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
    bytes.truncate(MAX_MESSAGE_BYTES);
    if bytes.is_empty() {
        return log.map(|log| end_of_log(log.path())).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn end_of_log(path: &Path) -> String {
    let Ok(mut file) = std::fs::File::open(path) else { return String::new() };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut text = Vec::new();
    let read = file
        .seek(SeekFrom::Start(length.saturating_sub(MAX_LOG_MESSAGE_BYTES)))
        .and_then(|_| file.take(MAX_LOG_MESSAGE_BYTES).read_to_end(&mut text));
    if read.is_err() {
        return String::new();
    }
    // Without the time, stream and tag that stand before each line.
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3));
    lines.map(|line| format!("{line}\n")).collect()
}
