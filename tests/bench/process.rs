//! Processes under measurement: CPU time and memory as the kernel counts them, ended by id.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{affinity, load};

/// CPU seconds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

/// Bytes of memory.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) anonymous: u64,
}

/// A running proxy; ended when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// From just before it was started to its first answer.
    pub(crate) start: Duration,
}

impl Process {
    /// Starts it and waits until it serves at `address` (or accepts, when it wants TLS).
    pub(crate) fn start(mut command: Command, address: SocketAddr, tls: bool) -> anyhow::Result<Self> {
        let before = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = command.get_program().to_string_lossy().into_owned();
        let child =
            affinity::spawn_on_first(&mut command).with_context(|| format!("cannot start {program}"))?;
        let mut process = Self { child, start: Duration::ZERO };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        while before.elapsed() < Duration::from_secs(10) {
            let ready = if tls {
                std::net::TcpStream::connect(address).is_ok()
            } else {
                runtime.block_on(load::probe(address)).is_ok()
            };
            if ready {
                process.start = before.elapsed();
                return Ok(process);
            }
            if let Some(status) = process.child.try_wait()? {
                bail!("{program} ended at once: {status}; run it by hand: {command:?}");
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        bail!("{program} does not serve at {address} after 10 s; run it by hand: {command:?}")
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in brackets may hold anything; the numbers follow it.
        let fields: Vec<&str> =
            text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks =
            |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).context("no CPU time");
        let second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        Ok(Cpu { user: ticks(11)? / second, system: ticks(12)? / second })
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kilobytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default()
        };
        Ok(Memory { resident: kilobytes("VmRSS") * 1024, anonymous: kilobytes("RssAnon") * 1024 })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
