//! What is measured, how long and how often.

use std::path::PathBuf;

/// Measures Sagene beside Envoy, nginx and HAProxy on this machine.
#[derive(Debug, Clone, clap::Parser)]
pub(crate) struct Arguments {
    /// The binary to measure
    #[arg(long, env = "SAGENE")]
    pub(crate) sagene: PathBuf,
    /// Envoy; left out when it is not there
    #[arg(long, env = "SAGENE_ENVOY", default_value = "envoy")]
    pub(crate) envoy: PathBuf,
    /// Times each subject is measured, in turn
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// Keep-alive connections of the client
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// Bytes of an answer's body
    #[arg(long, default_value_t = 1024)]
    pub(crate) body: usize,
    /// Requests a second in the latency case
    #[arg(long, default_value_t = 1000)]
    pub(crate) rate: u64,
    /// Only these cases (all when not given)
    #[arg(long = "case", value_enum)]
    only: Vec<Case>,
    /// Only these subjects (all when not given)
    #[arg(long = "subject", value_enum)]
    pub(crate) subjects: Vec<crate::subject::Kind>,
}

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Case {
    /// One HTTP/1.1 hop
    Plain,
    /// One HTTP/1.1 hop with a policy and an access log
    Features,
    /// Two hops, mutual TLS between them
    Mtls,
    /// As `mtls`, Sagene with a policy of ten rules, retries, the mesh's metrics and an access log; the others bare
    Mesh,
    /// Two hops with mutual TLS at a fixed rate: latency and CPU
    Latency,
    /// Memory when idle, and start to ready
    Start,
}

impl Arguments {
    pub(crate) fn cases(&self) -> Vec<Case> {
        if self.only.is_empty() {
            vec![Case::Plain, Case::Features, Case::Mtls, Case::Mesh, Case::Latency, Case::Start]
        } else {
            self.only.clone()
        }
    }
}
