//! `kubectl cluster-info` and `kubectl api-versions`.

use clap::Args;

use super::session::Session;
use crate::exit::{Exit, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct ClusterInfo {}

impl ClusterInfo {
    pub(super) fn run(&self, session: &Session) -> Outcome {
        output::line(&format!("Kubernetes control plane is running at {}", session.cluster.description));
        Ok(Exit::Success)
    }
}

#[derive(Debug, Args)]
pub(super) struct ApiVersions {}

impl ApiVersions {
    pub(super) async fn run(&self, session: &Session) -> Outcome {
        let mut versions: Vec<String> =
            session.discovery().await?.resources.iter().map(|resource| resource.api_version()).collect();
        versions.sort_unstable();
        versions.dedup();
        versions.iter().for_each(|version| output::line(version));
        Ok(Exit::Success)
    }
}
