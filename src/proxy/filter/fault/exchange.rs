//! A fault that meets a request.

use std::time::Duration;

use super::{Abort, Fault};
use crate::config::Action;
use crate::http::exchange::Exchange;
use crate::http::info::Flags;

impl Exchange {
    /// Waits and answers as the fault says. `false` = an answer of our own is ready.
    pub(crate) async fn inject_fault(&mut self, fault: &Fault) -> bool {
        let cluster = self.route.as_ref().and_then(|(_, route)| match &route.action {
            Action::Forward(forward) => forward.pick(self.random).map(|c| c.name.clone()),
            _ => None,
        });
        let draw = self.scene.worker.random();
        if let Some(delay) = fault.delay(&self.request.headers, cluster.as_deref(), draw) {
            self.info.flags.set(Flags::DELAY_INJECTED);
            tokio::time::sleep(delay.min(Duration::from_secs(3600))).await;
        }
        let draw = self.scene.worker.random();
        let Some(abort) = fault.abort(&self.request.headers, cluster.as_deref(), draw) else { return true };
        self.info.details = "fault_filter_abort".into();
        match abort {
            Abort::Http(status) => self.own(status, b"fault filter abort", Flags::FAULT_INJECTED),
            Abort::Grpc(status) => {
                self.own(200, b"fault filter abort", Flags::FAULT_INJECTED);
                if self.grpc {
                    self.response.headers.set(b"grpc-status", status.to_string().as_bytes());
                }
            }
        }
        false
    }
}
