//! Running one case: every subject in turn, round after round.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::arguments::{Arguments, Case};
use crate::certificates::Certificates;
use crate::load::{self, Pace};
use crate::process::{Cpu, Process};
use crate::sample::Sample;
use crate::subject::{Extras, Hop, Kind, Programs, Side};

/// Connections of the latency case, as in Istio's own measurements.
const LATENCY_CONNECTIONS: usize = 16;

/// The name of a subject and its samples, one for each round.
pub(crate) type Results = Vec<(&'static str, Vec<Sample>)>;

/// Everything a case needs.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) arguments: Arguments,
    pub(crate) programs: Programs,
    pub(crate) folder: PathBuf,
    pub(crate) certificates: Certificates,
    pub(crate) backend: SocketAddr,
}

impl Bench {
    pub(crate) fn run(&self, case: Case) -> anyhow::Result<Results> {
        let mut kinds = self.programs.kinds();
        kinds.retain(|kind| case != Case::Features || kind.has_features());
        let mut results: Results = kinds.iter().map(|kind| (kind.name(), Vec::new())).collect();
        if case == Case::Latency {
            results.push(("no proxy", Vec::new()));
        }
        for _ in 0..self.arguments.rounds {
            for (index, kind) in kinds.iter().enumerate() {
                let sample =
                    self.sample(case, *kind).with_context(|| format!("measuring {}", kind.name()))?;
                results[index].1.push(sample);
            }
            if case == Case::Latency {
                results[kinds.len()].1.push(self.measure(case, &[], self.backend)?);
            }
        }
        Ok(results)
    }

    fn sample(&self, case: Case, kind: Kind) -> anyhow::Result<Sample> {
        let front = free_address()?;
        let extras = match case {
            Case::Features => Extras::Logged,
            Case::Mesh if kind == Kind::Sagene => Extras::Mesh,
            _ => Extras::Nothing,
        };
        let plain = Hop { listen: front, forward: self.backend, side: Side::Plain, extras };
        let start = |hop: &Hop<'_>| self.programs.start(kind, hop, &self.folder);
        match case {
            Case::Plain | Case::Features => self.measure(case, &[start(&plain)?], front),
            Case::Mtls | Case::Mesh | Case::Latency => {
                let middle = free_address()?;
                let receives = Hop { listen: middle, side: Side::Receives(&self.certificates), ..plain };
                let sends = Hop { forward: middle, side: Side::Sends(&self.certificates), ..plain };
                let receiver = start(&receives)?;
                self.measure(case, &[start(&sends)?, receiver], front)
            }
            Case::Start => {
                let process = start(&plain)?;
                // What a start leaves behind is given back or not within this time.
                std::thread::sleep(Duration::from_millis(500));
                Ok(Sample { start: process.start, memory: process.memory()?, ..Sample::default() })
            }
        }
    }

    fn measure(&self, case: Case, processes: &[Process], front: SocketAddr) -> anyhow::Result<Sample> {
        let (pace, connections) = match case {
            Case::Latency => (Pace::Rate(self.arguments.rate), LATENCY_CONNECTIONS),
            _ => (Pace::Closed, self.arguments.connections),
        };
        load::run(front, connections, Duration::from_secs(1), pace)?;
        let (before, begun) = (total(processes)?, Instant::now());
        let seen = load::run(front, connections, Duration::from_secs(self.arguments.seconds), pace)?;
        let (after, length) = (total(processes)?, begun.elapsed());
        let mut latencies = seen.latencies;
        latencies.sort();
        let at = |share: usize| latencies.get(latencies.len() * share / 100).copied().unwrap_or_default();
        Ok(Sample {
            requests: seen.requests,
            length,
            cpu: Cpu { user: after.user - before.user, system: after.system - before.system },
            p50: at(50),
            p99: at(99),
            start: processes.first().map(|process| process.start).unwrap_or_default(),
            memory: processes.first().map(Process::memory).transpose()?.unwrap_or_default(),
        })
    }
}

fn total(processes: &[Process]) -> anyhow::Result<Cpu> {
    processes.iter().try_fold(Cpu::default(), |sum, process| {
        let each = process.cpu()?;
        Ok(Cpu { user: sum.user + each.user, system: sum.system + each.system })
    })
}

/// A port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no free port on loopback")?;
    Ok(listener.local_addr()?)
}
