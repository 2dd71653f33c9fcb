//! `console`: serves the built-in console of a cluster, as a pod does; `dashboard kiali` opens it on a laptop.

use clap::Args;
use tokio::net::TcpListener;

use crate::context::Context;
use crate::dashboard;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct ConsoleCommand {
    /// Address to serve on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    address: String,
    /// Port to serve on
    #[arg(short, long, value_name = "PORT", default_value_t = 20001)]
    port: u16,
}

impl ConsoleCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        crate::runtime::block_on(async {
            let cluster = context.cluster().await?;
            let listener = TcpListener::bind((self.address.as_str(), self.port)).await.map_err(|error| {
                Failure::from(error).context(format!("cannot listen on {}:{}", self.address, self.port))
            })?;
            output::line(&format!("http://{}/kiali/", listener.local_addr()?));
            dashboard::serve_console(&cluster, listener).await?;
            Ok(Exit::Success)
        })
    }
}

/// Ports of a collector of spans: OpenTelemetry's two, Zipkin's, and those of Jaeger's page and its health.
const COLLECTOR: [u16; 5] = [4317, 4318, 9411, 16686, 14269];

/// Collects spans and shows them, in the place of a collector's image.
pub(crate) async fn collect_traces() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut listeners = Vec::new();
    for port in COLLECTOR {
        let listener = TcpListener::bind(("0.0.0.0", port)).await;
        listeners.push(
            listener
                .map_err(|error| Failure::from(error).context(format!("cannot listen on port {port}")))?,
        );
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let end = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(sagene_console::traces::serve(listeners, end).await?)
}
