//! Pings on HTTP/2 connections: one whose peer does not answer in time is given up.

use h2::{Ping, PingPong};

use crate::config::Keepalive;

/// Returns once the peer is gone; never without a rule.
pub(crate) async fn watch(pings: Option<PingPong>, rule: Option<Keepalive>) {
    let (Some(mut pings), Some(rule)) = (pings, rule) else { return std::future::pending().await };
    loop {
        tokio::time::sleep(rule.interval).await;
        if !matches!(tokio::time::timeout(rule.timeout, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}
