//! `dashboard`: opens a web page that runs in the cluster, or the built-in console where there is none.

mod browser;
mod console;
mod mesh_view;
mod objects;
mod scraper;

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use tokio::net::TcpListener;

use crate::context::{Cluster, Context};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{
    Objects, PodName, Resource, forward_port, pods_named, pods_selected, server_failure, text,
};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct DashboardCommand {
    /// Local port; default the port of the dashboard, or a free one
    #[arg(short, long, global = true, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Local address
    #[arg(long, global = true, value_name = "ADDRESS", default_value = "localhost")]
    address: String,
    /// Open a browser; --browser=false only prints the address
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    browser: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The graph of the mesh: Kiali if it is installed, else the built-in console
    Kiali(UiPort<20001>),
    /// Prometheus
    Prometheus(UiPort<9090>),
    /// Grafana
    Grafana(UiPort<3000>),
    /// Jaeger
    Jaeger(UiPort<16686>),
    /// Zipkin
    Zipkin(UiPort<9411>),
    /// SkyWalking
    Skywalking(UiPort<8080>),
    /// The admin page of a proxy
    #[command(alias = "envoy")]
    Proxy(PodPage<15000>),
    /// ControlZ of a control plane pod
    Controlz(PodPage<9876>),
    /// The debug page of a control plane pod
    IstiodDebug(PodPage<15014>),
}

/// The port of a dashboard in its pod.
#[derive(Debug, Args)]
struct UiPort<const DEFAULT: u16> {
    /// Port of the dashboard in the pod; default the one it usually has
    #[arg(long, value_name = "PORT")]
    ui_port: Option<u16>,
}

// A default in the attribute would be one for all these types: it is kept once, whatever the parameter.
impl<const DEFAULT: u16> UiPort<DEFAULT> {
    fn number(&self) -> u16 {
        self.ui_port.unwrap_or(DEFAULT)
    }
}

/// A page of a pod that is named.
#[derive(Debug, Args)]
struct PodPage<const DEFAULT: u16> {
    /// Pod or workload: [type/]name[.namespace]
    #[arg(value_name = "[TYPE/]NAME[.NAMESPACE]", conflicts_with = "selector")]
    name: Option<String>,
    /// Label selector; the first pod is taken
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Port of the page in the pod; default the one it usually has
    #[arg(long, alias = "ctrlz_port", value_name = "PORT")]
    ui_port: Option<u16>,
}

/// A page in a pod.
struct Page {
    pod: PodName,
    port: u16,
    path: &'static str,
}

impl DashboardCommand {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        crate::runtime::block_on(async {
            let cluster = context.cluster().await?;
            let page = match &self.what {
                What::Kiali(port) => match addon(context, &cluster, "app=kiali").await? {
                    Some(pod) => Page { pod, port: port.number(), path: "/kiali" },
                    None => {
                        return self
                            .built_in(&cluster, "Kiali", "the built-in console", port.number(), "/kiali/")
                            .await;
                    }
                },
                What::Prometheus(port) => {
                    match named(context, &cluster, "prometheus", port.number()).await? {
                        Some(page) => page,
                        None => return self.own_metrics(&cluster, "Prometheus", port.number()).await,
                    }
                }
                What::Grafana(port) => match named(context, &cluster, "grafana", port.number()).await? {
                    Some(page) => page,
                    None => return self.own_metrics(&cluster, "Grafana", port.number()).await,
                },
                What::Jaeger(port) => match named(context, &cluster, "jaeger", port.number()).await? {
                    Some(page) => page,
                    None => return self.own_traces(&cluster, "Jaeger", port.number()).await,
                },
                What::Zipkin(port) => match named(context, &cluster, "zipkin", port.number()).await? {
                    Some(page) => page,
                    None => return self.own_traces(&cluster, "Zipkin", port.number()).await,
                },
                What::Skywalking(port) => required(context, &cluster, "skywalking-ui", port.number()).await?,
                What::Proxy(page) => {
                    let namespace = context.namespace(&cluster);
                    page.find(&cluster, &namespace, None, "").await?
                }
                What::Controlz(page) => {
                    page.find(&cluster, &context.globals.istio_namespace, Some("app=istiod"), "").await?
                }
                What::IstiodDebug(page) => {
                    page.find(&cluster, &context.globals.istio_namespace, Some("app=istiod"), "/debug")
                        .await?
                }
            };
            self.forward(&cluster, page).await
        })
    }

    /// Serves the page's port here until interrupted.
    async fn forward(&self, cluster: &Cluster, page: Page) -> Outcome {
        let listener = self.listen(page.port).await?;
        self.announce(listener.local_addr()?, page.path);
        forward_port(cluster.client.clone(), listener, page.pod.namespace, page.pod.name, page.port).await?;
        Ok(Exit::Success)
    }

    /// The console of this program, fed through the Kubernetes API.
    async fn built_in(&self, cluster: &Cluster, missing: &str, what: &str, port: u16, path: &str) -> Outcome {
        let listener = self.listen(port).await?;
        let address = listener.local_addr()?;
        output::progress(&format!("No {missing} in the cluster: serving {what} of {}", cluster.description));
        self.announce(address, path);
        serve_console(cluster, listener).await?;
        Ok(Exit::Success)
    }

    async fn own_metrics(&self, cluster: &Cluster, missing: &str, port: u16) -> Outcome {
        self.built_in(cluster, missing, "the metrics page of the built-in console", port, "/kiali/metrics")
            .await
    }

    async fn own_traces(&self, cluster: &Cluster, missing: &str, port: u16) -> Outcome {
        self.built_in(cluster, missing, "the traces page of the built-in console", port, "/kiali/traces")
            .await
    }

    /// `--port`, else the wished one, else any free one.
    async fn listen(&self, wished: u16) -> Result<TcpListener, Failure> {
        let host = if self.address == "localhost" { "127.0.0.1" } else { &self.address };
        let failed = |port: u16, error: std::io::Error| {
            Failure::from(error)
                .context(format!("cannot listen on {host}:{port}"))
                .hint("--port 0 takes any free port")
        };
        if self.port != 0 {
            return TcpListener::bind((host, self.port)).await.map_err(|error| failed(self.port, error));
        }
        match TcpListener::bind((host, wished)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind((host, 0)).await.map_err(|error| failed(0, error)),
        }
    }

    fn announce(&self, address: SocketAddr, path: &str) {
        let host =
            if self.address == "localhost" { "localhost".to_owned() } else { address.ip().to_string() };
        let url = format!("http://{host}:{}{path}", address.port());
        output::line(&url);
        if self.browser {
            browser::open(&url);
        } else {
            output::progress("skipping opening a browser");
        }
    }
}

impl<const DEFAULT: u16> PodPage<DEFAULT> {
    async fn find(
        &self,
        cluster: &Cluster,
        namespace: &str,
        default: Option<&str>,
        path: &'static str,
    ) -> Result<Page, Failure> {
        let pods = match (&self.name, self.selector.as_deref().or(default)) {
            (Some(name), _) => pods_named(cluster, name, namespace).await?,
            (None, Some(selector)) => pods_selected(cluster, selector, namespace).await?,
            (None, None) => return Err(Failure::usage("specify a pod or --selector")),
        };
        let pod = pods.into_iter().next().ok_or_else(|| Failure::new("no pods found"))?;
        Ok(Page { pod, port: self.ui_port.unwrap_or(DEFAULT), path })
    }
}

/// Serves the built-in console of a cluster until interrupted or told to end.
pub(crate) async fn serve_console(cluster: &Cluster, listener: TcpListener) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let console = console::start(cluster).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let end = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(console.serve(listener, end).await?)
}

/// A running pod by label, in the control plane's namespace or in `-n`.
async fn addon(context: &Context, cluster: &Cluster, selector: &str) -> Result<Option<PodName>, Failure> {
    let objects = Objects::new(cluster.client.clone());
    for namespace in [context.globals.istio_namespace.clone(), context.namespace(cluster)] {
        let pods =
            objects.list(&Resource::pods(), Some(&namespace), selector).await.map_err(server_failure)?;
        if let Some(pod) = pods.iter().find(|pod| text(pod, "/status/phase") == "Running") {
            return Ok(Some(PodName { name: text(pod, "/metadata/name").to_owned(), namespace }));
        }
    }
    Ok(None)
}

/// The page of a deployed addon.
async fn named(context: &Context, cluster: &Cluster, name: &str, port: u16) -> Result<Option<Page>, Failure> {
    let label = if ["prometheus", "grafana"].contains(&name) { "app.kubernetes.io/name" } else { "app" };
    let pod = addon(context, cluster, &format!("{label}={name}")).await?;
    Ok(pod.map(|pod| Page { pod, port, path: "" }))
}

async fn required(context: &Context, cluster: &Cluster, name: &str, port: u16) -> Result<Page, Failure> {
    match named(context, cluster, name, port).await? {
        Some(page) => Ok(page),
        None => Err(Failure::new(format!("no {name} pods found")).hint(format!(
            "{name} is not part of the installation; install it as an addon, or use sagene dashboard kiali"
        ))),
    }
}
