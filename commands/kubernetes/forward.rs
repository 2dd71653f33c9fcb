//! Local listeners whose connections end at a port of a pod.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::net::{TcpListener, TcpStream};

use super::error::server_failure;
use crate::exit::{Failure, chain};
use crate::output;

/// Serves a listener until the process ends; a connection that fails is reported and does not end the others.
pub(crate) async fn forward_port(
    client: Client,
    listener: TcpListener,
    namespace: String,
    pod: String,
    port: u16,
) -> Result<(), Failure> {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    loop {
        let (connection, _) = listener.accept().await?;
        let (pods, pod) = (pods.clone(), pod.clone());
        tokio::spawn(async move {
            if let Err(failure) = one(&pods, &pod, port, connection).await {
                output::progress(&format!("port-forward to {pod}:{port}: {}", chain(&failure.error)));
            }
        });
    }
}

async fn one(pods: &Api<Pod>, pod: &str, port: u16, mut local: TcpStream) -> Result<(), Failure> {
    let mut forwarder = pods.portforward(pod, &[port]).await.map_err(server_failure)?;
    let mut remote =
        forwarder.take_stream(port).ok_or_else(|| Failure::new("the port-forward has no stream"))?;
    let failed = forwarder.take_error(port);
    let copied = tokio::io::copy_bidirectional(&mut local, &mut remote).await;
    drop(remote);
    if let Some(failed) = failed
        && copied.as_ref().is_ok_and(|(_, received)| *received == 0)
        && let Ok(Some(message)) = tokio::time::timeout(std::time::Duration::from_millis(100), failed).await
    {
        return Err(Failure::new(message));
    }
    forwarder.abort();
    // A peer that hangs up in the middle is the peer's affair.
    drop(copied);
    Ok(())
}
