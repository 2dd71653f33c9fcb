//! Plays sidecars to a control plane's plaintext discovery port and prints when they had everything, how long a change took to reach
//! them, and what the control plane spent on it. `tests/bench/control-plane` prepares the mesh for it.

mod sidecar;

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Parser;
use tonic::transport::Endpoint;

use sidecar::{Kind, Sidecar};

/// Everything has to be there by then.
const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes that may be on their way to a sidecar: far more than HTTP/2's default, as proxies have it.
const WINDOW: u32 = 1 << 20;

/// Plays sidecars to a control plane and times what reaches them.
#[derive(Debug, Parser)]
struct Arguments {
    /// The plaintext discovery port
    #[arg(long, default_value = "127.0.0.1:15010")]
    address: String,
    /// Sidecars
    #[arg(long, default_value_t = 500)]
    sidecars: usize,
    /// The control plane's process
    #[arg(long)]
    pid: u32,
    /// Times each change is made
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// What to run to change something, after the type that has to reach all sidecars then: `EDS=kubectl apply …`
    #[arg(long = "change")]
    changes: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let idle = spent(arguments.pid)?;
    println!("| figure | value |\n|---|---|\n| memory before | {} MB |", idle.resident);
    let begun = Instant::now();
    let mut sidecars = Vec::with_capacity(arguments.sidecars);
    for number in 0..arguments.sidecars {
        // Each has a connection of its own, as sidecars have.
        let channel = Endpoint::from_shared(format!("http://{}", arguments.address))?
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .connect_lazy();
        let sidecar = Arc::new(Sidecar::new(number, begun));
        sidecars.push((sidecar.clone(), tokio::spawn(sidecar.run(channel))));
    }
    until(&mut sidecars, |sidecar| sidecar.has_everything()).await?;
    let last = sidecars.iter().map(|(sidecar, _)| sidecar.complete_at()).max().unwrap_or_default();
    let bytes: u64 = sidecars.iter().map(|(sidecar, _)| sidecar.received()).sum();
    let now = spent(arguments.pid)?;
    let count = arguments.sidecars;
    println!(
        "| {count} sidecars have everything ({} MB in all) | {} ms |",
        bytes / 1_000_000,
        last.as_millis()
    );
    let each = (now.processor - idle.processor).as_secs_f64() * 1000.0 / count.max(1) as f64;
    println!("| processor time for each sidecar | {each:.1} ms |\n| memory then | {} MB |", now.resident);
    for change in &arguments.changes {
        let (kind, command) = change.split_once('=').context("a change is TYPE=COMMAND")?;
        let kind = Kind::named(kind).with_context(|| format!("{kind:?} is none of CDS, EDS, LDS, RDS"))?;
        let mut delays = Vec::new();
        for _ in 0..arguments.rounds {
            delays.extend(one_change(kind, command, &mut sidecars, begun).await?);
        }
        delays.sort_unstable();
        let at = |share: usize| delays.get(delays.len() * share / 100).copied().unwrap_or_default();
        println!("| {kind:?} after a change: p50 / p99 | {} / {} ms |", at(50), at(99));
    }
    println!("| memory at the peak | {} MB |", spent(arguments.pid)?.peak);
    Ok(())
}

type Sidecars = Vec<(Arc<Sidecar>, tokio::task::JoinHandle<anyhow::Result<()>>)>;

/// Milliseconds from the end of the command to the next response of that type, for each sidecar; what came before the command ended
/// took none.
async fn one_change(
    kind: Kind,
    command: &str,
    sidecars: &mut Sidecars,
    begun: Instant,
) -> anyhow::Result<Vec<u64>> {
    // What the change before set off shall have ended.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = elapsed(begun);
    let command = command.to_owned();
    let done =
        tokio::task::spawn_blocking(move || Command::new("sh").args(["-c", &command]).output()).await??;
    if !done.status.success() {
        bail!("the change failed: {}", String::from_utf8_lossy(&done.stderr));
    }
    let ended = elapsed(begun);
    until(sidecars, |sidecar| sidecar.newest(kind) > started).await?;
    Ok(sidecars.iter().map(|(sidecar, _)| sidecar.newest(kind).saturating_sub(ended) / 1000).collect())
}

/// Microseconds.
fn elapsed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

async fn until(sidecars: &mut Sidecars, done: impl Fn(&Sidecar) -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !sidecars.iter().all(|(sidecar, _)| done(sidecar)) {
        if let Some((sidecar, task)) = sidecars.iter_mut().find(|(_, task)| task.is_finished()) {
            let result = task.await?;
            return result
                .with_context(|| format!("{} ended", sidecar.name()))
                .and_then(|()| bail!("a stream ended"));
        }
        if Instant::now() > deadline {
            let waiting = sidecars.iter().filter(|(sidecar, _)| !done(sidecar)).count();
            bail!("{waiting} sidecars still wait after {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// What a process has used.
struct Spent {
    processor: Duration,
    /// Megabytes now, and at the most.
    resident: u64,
    peak: u64,
}

fn spent(pid: u32) -> anyhow::Result<Spent> {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("process {pid}"))
    };
    let stat = read("stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    let status = read("status")?;
    let megabytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
    };
    Ok(Spent {
        // A tick of /proc is 10 ms everywhere Linux runs.
        processor: Duration::from_millis((ticks(11) + ticks(12)) * 10),
        resident: megabytes("VmRSS:"),
        peak: megabytes("VmHWM:"),
    })
}
