//! What all HTTP samples share: a listener on every address, and an orderly end on SIGTERM.

use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::SampleError;

/// The port an applet was told to listen on: its first argument.
pub(super) fn port(applet: &'static str, arguments: &[String], default: u16) -> Result<u16, SampleError> {
    let Some(text) = arguments.first() else { return Ok(default) };
    text.parse().map_err(|_| SampleError::Argument {
        applet,
        problem: format!("{text:?} is no port; want a number from 1 to 65535"),
    })
}

/// Serves until SIGTERM or SIGINT, then lets requests under way finish.
pub(super) async fn serve(port: u16, routes: Router) -> Result<(), SampleError> {
    let listener = listen(port).await?;
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, routes).with_graceful_shutdown(stopped()).await.map_err(SampleError::Serve)
}

/// Listens on all addresses, IPv6 included where the kernel has it.
pub(super) async fn listen(port: u16) -> Result<TcpListener, SampleError> {
    if let Ok(listener) = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        return Ok(listener);
    }
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    TcpListener::bind(address).await.map_err(|source| SampleError::Listen { port, source })
}

/// Listens on an address of this machine; `::` and `0.0.0.0` mean all of them.
pub(super) async fn listen_at(address: SocketAddr) -> Result<TcpListener, SampleError> {
    let port = address.port();
    if address.ip().is_unspecified() {
        return listen(port).await;
    }
    TcpListener::bind(address).await.map_err(|source| SampleError::Listen { port, source })
}

/// Resolves when the process is asked to stop.
pub(super) fn stopped() -> impl Future<Output = ()> + Send + 'static {
    // Registered now, not when first polled: a signal that comes before the first request must not be lost.
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async move {
        match (terminate, interrupt) {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            }
            _ => std::future::pending().await,
        }
    }
}

/// Whether a volume of the container brought a file of an image's folder, or the folder: what the machine has there is not the image's.
pub(super) fn is_mounted(folder: &str, path: &str) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let at = |point: &str| Path::new(point).starts_with(folder) && Path::new(path).starts_with(point);
    points.any(at) && Path::new(path).exists()
}

/// An environment variable, or a default where it is unset or empty.
pub(super) fn environment(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// The name of this pod.
pub(super) fn host_name() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|_| environment("HOSTNAME", "unknown"))
}
