//! `kubectl port-forward`: local ports to a pod, until interrupted.

use clap::Args;

use super::pods;
use super::session::{Session, error};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{forward_port, text};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct PortForward {
    /// Pod or type/name
    #[arg(value_name = "POD | TYPE/NAME")]
    target: String,
    /// LOCAL:REMOTE, one number for both, or :REMOTE for any local port
    #[arg(value_name = "[LOCAL:]REMOTE", required = true)]
    ports: Vec<String>,
    /// Local address
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    address: String,
}

impl PortForward {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let ports = self.ports.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
        let address = if self.address == "localhost" { "127.0.0.1" } else { &self.address };
        let pod = pods::first(&pods::named(session, &self.target).await?, &self.target)?;
        let (namespace, name) = (text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
        let mut running = Vec::new();
        for (local, remote) in ports {
            let listener = tokio::net::TcpListener::bind((address, local))
                .await
                .map_err(|cause| error(format!("unable to listen on port {local}: {cause}")))?;
            let bound = listener.local_addr()?;
            output::line(&format!("Forwarding from {bound} -> {remote}"));
            running.push(forward_port(
                session.cluster.client.clone(),
                listener,
                namespace.into(),
                name.into(),
                remote,
            ));
        }
        futures::future::try_join_all(running).await?;
        Ok(Exit::Success)
    }
}

fn parse(text: &str) -> Result<(u16, u16), Failure> {
    let bad = || error(format!("invalid port {text:?}: write LOCAL:REMOTE, REMOTE or :REMOTE"));
    let (local, remote) = text.split_once(':').unwrap_or((text, text));
    let remote: u16 = remote.parse().map_err(|_| bad())?;
    let local = if local.is_empty() { 0 } else { local.parse().map_err(|_| bad())? };
    Ok((local, remote))
}
