//! How the proxy ends: nothing that is being served is cut off while there is time.
//!
//! The first signal starts an orderly end. A sidecar's application may itself just be ending and still need the
//! network, and clients may still send here until they hear that the pod is gone; so the proxy first serves on for
//! `terminationDrainDuration`, telling clients with each answer to go elsewhere, then takes nothing new and waits for
//! what is open. Where the pod announced its end (`/drain`, the `preStop` hook of a native sidecar) clients are told
//! so from then on, and the signal comes when the application is gone: the first part is left out. A second signal
//! ends the process at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::NodeType;
use super::environment::Environment;
use super::health::Health;
use super::lifecycle::{Order, Orders};
use super::proxy_config::{ProxyConfig, parse_duration};
use crate::worker::Proxy;

/// How often open connections are counted while waiting for none.
const COUNT_PERIOD: Duration = Duration::from_millis(100);
/// Shortest drain with EXIT_ON_ZERO_ACTIVE_CONNECTIONS when MINIMUM_DRAIN_DURATION is not set.
const MINIMUM_DRAIN: Duration = Duration::from_secs(5);

/// The rules of the end.
#[derive(Debug, Clone)]
pub(crate) struct Termination {
    drain_duration: Duration,
    /// Wait for open connections however long it takes, but this long at least.
    until_no_connections: Option<Duration>,
    /// Only clients of the workload are told to go elsewhere: the workload has nowhere else to go.
    inbound_only: bool,
}

impl Termination {
    /// From `terminationDrainDuration` and Istio's variables.
    pub(crate) fn new(environment: &Environment, config: &ProxyConfig, node: NodeType) -> Self {
        let until_zero = environment.flag("EXIT_ON_ZERO_ACTIVE_CONNECTIONS")
            || environment.flag("ISTIO_META_EXIT_ON_ZERO_ACTIVE_CONNECTIONS");
        let minimum =
            environment.get("MINIMUM_DRAIN_DURATION").and_then(parse_duration).unwrap_or(MINIMUM_DRAIN);
        Self {
            drain_duration: config.termination_drain_duration,
            until_no_connections: until_zero.then_some(minimum),
            inbound_only: node == NodeType::Sidecar,
        }
    }

    /// Without an environment: connections get `drain_duration`.
    pub(crate) fn after(drain_duration: Duration) -> Self {
        Self { drain_duration, until_no_connections: None, inbound_only: false }
    }

    /// Returns when the process may end.
    pub(crate) async fn run(
        &self,
        mut orders: Orders,
        health: &Health,
        proxy: &Proxy,
    ) -> std::io::Result<()> {
        let mut signals = Signals::new()?;
        let mut announced = false;
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Drain) => {
                        tracing::info!("the pod announced its end");
                        proxy.send_away(self.inbound_only);
                        announced = true;
                    }
                    Some(Order::Quit) | None => {
                        announced = true;
                        break;
                    }
                },
                name = signals.next() => {
                    tracing::info!(signal = name, "ending");
                    break;
                }
            }
        }
        health.set_draining();
        proxy.send_away(self.inbound_only);
        tokio::select! {
            () = self.drain(announced, proxy) => {}
            name = signals.next() => tracing::warn!(signal = name, "second signal: ending at once"),
        }
        Ok(())
    }

    async fn drain(&self, announced: bool, proxy: &Proxy) {
        if let Some(minimum) = self.until_no_connections {
            sleep(minimum).await;
            let started = Instant::now();
            while proxy.active_connections() > 0 {
                sleep(COUNT_PERIOD).await;
            }
            tracing::info!(waited = ?started.elapsed(), "no connection is open any more");
            return;
        }
        if !announced {
            sleep(self.drain_duration).await;
        }
        let left = proxy.drain(self.drain_duration).await;
        if left > 0 {
            tracing::warn!(connections = left, "ending although connections are still open");
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
