//! When the built-in samples listen. Their images have no readiness probe, and Kubernetes calls such a container ready as soon as its program
//! runs; pulling and starting the others gives it time enough there. Here a pod is up in milliseconds, and the first request after `rollout
//! status` would be refused now and then.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::pod_spec::Container;
use crate::samples;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// A sample that listens nowhere for so long was given another program, which need not listen.
const LIMIT: Duration = Duration::from_secs(10);
/// A sample that listens at one of its ports does so at all of them soon, or never.
const MORE_LIMIT: Duration = Duration::from_secs(1);
/// State of a socket that listens, as the kernel writes it.
const LISTEN: &str = "0A";

/// Waits until the program of a sample's container listens at the ports that the container declares; no longer than makes sense.
pub(super) async fn wait(container: &Container, process: i32) {
    let wanted = declared(container);
    if wanted.is_empty() {
        return;
    }
    let mut deadline = Instant::now() + LIMIT;
    let mut some = false;
    while Instant::now() < deadline {
        let Some(open) = open(process) else { return has_ended(process).await };
        if wanted.is_subset(&open) {
            return;
        }
        if !some && !wanted.is_disjoint(&open) {
            some = true;
            deadline = deadline.min(Instant::now() + MORE_LIMIT);
        }
        sleep(PAUSE).await;
    }
}

/// Never comes back where the process is gone: what has ended is not ready, and whoever waits is told of the end in another way.
async fn has_ended(process: i32) {
    if !PathBuf::from(format!("/proc/{process}")).exists() {
        std::future::pending::<()>().await;
    }
}

/// The TCP ports of a sample's container; those of other images are nobody's business.
fn declared(container: &Container) -> BTreeSet<u16> {
    if samples::by_image(&container.image).is_none() {
        return BTreeSet::new();
    }
    let ports = container.ports.iter().filter(|port| matches!(port.protocol.as_str(), "" | "TCP"));
    ports.map(|port| port.container_port).collect()
}

/// The ports at which somebody listens in the network namespace of a process; `None` where the kernel does not tell.
fn open(process: i32) -> Option<BTreeSet<u16>> {
    let read = |file: &str| std::fs::read_to_string(PathBuf::from(format!("/proc/{process}/net/{file}")));
    let tables = [read("tcp").ok()?, read("tcp6").unwrap_or_default()];
    Some(tables.iter().flat_map(|table| table.lines()).filter_map(listening).collect())
}

/// The port of a line of `/proc/net/tcp`, where it is of a socket that listens.
fn listening(line: &str) -> Option<u16> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, state) = (fields.next()?, fields.nth(1)?);
    let (_, port) = local.rsplit_once(':')?;
    (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_told_from_others() {
        let listens = "   0: 0100007F:2382 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 5 1 0 100 0 0 10 0";
        let talks = "   1: 0100007F:2383 0100007F:E1D2 01 00000000:00000000 00:00000000 00000000     0        0 6 1 0 20 4 30 10 -1";
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        assert_eq!([listens, talks, head, ""].map(listening), [Some(0x2382), None, None, None]);
    }

    #[test]
    fn only_samples_with_ports_are_waited_for() {
        let container = |image: &str, ports: &str| -> Container {
            serde_json::from_str(&format!("{{\"name\": \"c\", \"image\": {image:?}, \"ports\": [{ports}]}}"))
                .expect("a container")
        };
        let sample = "docker.io/istio/tcp-echo-server:1.3";
        let ports = "{\"containerPort\": 9000}, {\"containerPort\": 9001, \"protocol\": \"UDP\"}";
        assert_eq!(declared(&container(sample, ports)), BTreeSet::from([9000]));
        assert!(declared(&container(sample, "")).is_empty());
        assert!(declared(&container("registry.example/shop:1", ports)).is_empty());
    }
}
