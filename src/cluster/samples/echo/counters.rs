//! How many requests each port had, for Prometheus.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Counts by protocol (`http`, `grpc`, `tcp`) and port.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<BTreeMap<(&'static str, u16), u64>>);

impl Counters {
    pub(super) fn count(&self, protocol: &'static str, port: u16) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((protocol, port)).or_default() += 1;
    }

    /// In Prometheus' text format.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for ((protocol, port), count) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let name = format!("istio_echo_{protocol}_requests_total");
            if last != *protocol {
                text += &format!("# TYPE {name} counter\n");
                last = protocol;
            }
            text += &format!("{name}{{port=\"{port}\"}} {count}\n");
        }
        text
    }
}
