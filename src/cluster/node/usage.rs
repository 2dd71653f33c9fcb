//! What containers and the machine use, from `/proc`: it is there in every namespace and for every user, which control groups are not.

mod processes;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::NODE_NAME;
use super::agent::NodeAgent;
use crate::pod_runtime::{ContainerUsage, NodeUsage, PodUsage, Usage};

/// Between two measurements.
const PERIOD: Duration = Duration::from_secs(5);
/// Averages are of the time between the oldest one that is kept and the last: 15 s, the resolution of metrics-server.
const KEPT: usize = 4;

/// CPU time since something began, and the memory that it has now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) microseconds: u64,
    pub(super) bytes: u64,
}

/// A run of a container: pod, container, and the first process, which a restart changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ContainerRun {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) process: i32,
}

/// Everything at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) time: Timestamp,
    pub(super) machine: Counters,
    pub(super) containers: HashMap<ContainerRun, Counters>,
}

/// The last samples.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<VecDeque<Sample>>);

impl Samples {
    pub(super) fn add(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back(sample);
        while samples.len() > KEPT {
            samples.pop_front();
        }
    }

    /// What is used on average between the oldest sample and the last; `None` before there are two.
    pub(super) fn usage(&self) -> Option<NodeUsage> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = samples.back()?;
        let first = samples.front().filter(|first| first.at < last.at)?;
        let mut pods: Vec<PodUsage> = Vec::new();
        let mut runs: Vec<(&ContainerRun, &Counters)> = last.containers.iter().collect();
        runs.sort_by_key(|(run, _)| *run);
        for (run, counters) in runs {
            let mut earlier = samples.iter().filter(|sample| sample.at < last.at);
            // A container that is younger than the window is averaged over its own time.
            let Some((at, before)) =
                earlier.find_map(|sample| Some((sample.at, sample.containers.get(run)?)))
            else {
                continue;
            };
            let usage = average(before, counters, last.at - at);
            let container = ContainerUsage { name: run.container.clone(), usage };
            match pods.last_mut().filter(|pod| (&pod.namespace, &pod.name) == (&run.namespace, &run.pod)) {
                Some(pod) => pod.containers.push(container),
                None => pods.push(PodUsage {
                    namespace: run.namespace.clone(),
                    name: run.pod.clone(),
                    containers: vec![container],
                }),
            }
        }
        let window = last.at - first.at;
        Some(NodeUsage {
            measured_at: last.time,
            window,
            node: NODE_NAME.to_owned(),
            usage: average(&first.machine, &last.machine, window),
            pods,
        })
    }
}

fn average(before: &Counters, after: &Counters, window: Duration) -> Usage {
    // Less than before: processes ended and nobody waited for them.
    let spent = Duration::from_micros(after.microseconds.saturating_sub(before.microseconds));
    Usage { cores: spent.as_secs_f64() / window.as_secs_f64(), bytes: after.bytes }
}

/// Measures the agent's containers until it is aborted.
pub(super) async fn run(agent: NodeAgent, samples: Arc<Samples>) {
    loop {
        let running = running(&agent);
        // Reading takes longer the more processes there are.
        match tokio::task::spawn_blocking(move || measure(running)).await {
            Ok(sample) => samples.add(sample),
            Err(error) => tracing::warn!(%error, "cannot measure what pods use"),
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn running(agent: &NodeAgent) -> Vec<ContainerRun> {
    let pods = agent.pods();
    let runs = pods.iter().flat_map(|pod| {
        let records = pod.board.all().into_iter();
        records.filter_map(|(container, record)| {
            Some(ContainerRun {
                namespace: pod.namespace.clone(),
                pod: pod.name.clone(),
                container,
                process: record.process?,
            })
        })
    });
    runs.collect()
}

fn measure(running: Vec<ContainerRun>) -> Sample {
    let namespaces = processes::read_processes();
    let counters = |run: &ContainerRun| namespaces.get(&processes::namespace_of(run.process)?).copied();
    Sample {
        at: Instant::now(),
        time: Timestamp::now(),
        machine: processes::read_machine(),
        containers: running.into_iter().filter_map(|run| counters(&run).map(|used| (run, used))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_of_the_window_and_a_restart_begins_anew() {
        let samples = Samples::default();
        assert_eq!(samples.usage(), None);
        let start = Instant::now();
        let run = |container: &str, process| ContainerRun {
            namespace: "shop".to_owned(),
            pod: "web-1".to_owned(),
            container: container.to_owned(),
            process,
        };
        for (second, milliseconds, process) in [(0, 0, 7), (5, 1_000, 7), (10, 0, 8), (15, 4_000, 8)] {
            let counters =
                |factor: u64| Counters { microseconds: milliseconds * factor * 1_000, bytes: 1 << 20 };
            let machine = Counters { microseconds: second * 2_000_000, bytes: 3 << 30 };
            let containers = [(run("app", 7), counters(1)), (run("proxy", process), counters(1))];
            samples.add(Sample {
                at: start + Duration::from_secs(second),
                time: Timestamp::UNIX_EPOCH,
                machine,
                containers: containers.into(),
            });
        }
        let usage = samples.usage().unwrap();
        assert_eq!(
            (usage.window, usage.usage),
            (Duration::from_secs(15), Usage { cores: 2.0, bytes: 3 << 30 })
        );
        let containers = &usage.pods[0].containers;
        assert_eq!(
            (usage.pods.len(), containers[0].name.as_str(), containers[1].name.as_str()),
            (1, "app", "proxy")
        );
        assert!((containers[0].usage.cores - 4.0 / 15.0).abs() < 1e-9, "{containers:?}");
        assert!((containers[1].usage.cores - 4.0 / 5.0).abs() < 1e-9, "{containers:?}");
    }
}
