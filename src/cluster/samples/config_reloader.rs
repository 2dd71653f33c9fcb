//! The container beside Prometheus that tells it when its files changed (`prometheus-config-reloader`, `configmap-reload`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;

use super::SampleError;
use super::serve::{listen_at, stopped};

/// How often folders are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// What a command line asks for.
#[derive(Debug, PartialEq)]
struct Settings {
    folders: Vec<PathBuf>,
    reload: String,
    listen: SocketAddr,
}

pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let settings = Settings::parse(arguments)
        .map_err(|problem| SampleError::Argument { applet: "config-reloader", problem })?;
    let listener = listen_at(settings.listen).await?;
    let routes = Router::new().route("/healthz", get(|| async { "OK" })).route("/metrics", get(|| async {}));
    let served = axum::serve(listener, routes).with_graceful_shutdown(stopped());
    tokio::select! {
        ended = served => ended.map_err(SampleError::Serve),
        () = watch(&settings) => Ok(()),
    }
}

impl Settings {
    /// The flags of both programs; those about retries, logs and the like change nothing here.
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut made = Self {
            folders: Vec::new(),
            reload: "http://127.0.0.1:9090/-/reload".to_owned(),
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
        };
        for argument in arguments {
            let (name, value) = argument.trim_start_matches('-').split_once('=').unwrap_or((argument, ""));
            match name {
                "watched-dir" | "volume-dir" => made.folders.push(PathBuf::from(value)),
                "reload-url" | "webhook-url" => value.clone_into(&mut made.reload),
                "listen-address" | "web.listen-address" => {
                    let full =
                        if value.starts_with(':') { format!("0.0.0.0{value}") } else { value.to_owned() };
                    made.listen = full.parse().map_err(|_| format!("{argument:?} names no IP:PORT"))?;
                }
                _ => {}
            }
        }
        Ok(made)
    }
}

/// Asks for a reload whenever a folder is another than before; one that fails is tried again.
async fn watch(settings: &Settings) {
    let client = reqwest::Client::builder().no_proxy().timeout(INTERVAL).tls_certs_only([]).build();
    let Ok(client) = client else { return std::future::pending().await };
    let mut known = seen(&settings.folders);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = seen(&settings.folders);
        if now == known {
            continue;
        }
        match client.post(&settings.reload).send().await.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {
                println!("reloaded {}", settings.reload);
                known = now;
            }
            Err(error) => println!("cannot reload {}: {error}", settings.reload),
        }
    }
}

/// Files of folders with the times of their last change; the links of ConfigMaps are followed.
fn seen(folders: &[PathBuf]) -> Vec<(PathBuf, Option<SystemTime>)> {
    let list = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = folders.iter().flat_map(|folder| list(folder)).map(|entry| entry.path());
    let mut files: Vec<_> = paths
        .map(|path| {
            let changed = std::fs::metadata(&path).and_then(|file| file.modified()).ok();
            (path, changed)
        })
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_both_programs_are_read() {
        let of = |words: &[&str]| {
            Settings::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        let made =
            of(&["--watched-dir=/etc/config", "--listen-address=:8085", "--log-level=info"]).expect("reads");
        assert_eq!((made.folders, made.listen.port()), (vec![PathBuf::from("/etc/config")], 8085));
        let made = of(&["-volume-dir=/a", "-webhook-url=http://b/-/reload"]).expect("reads");
        assert_eq!((made.reload.as_str(), made.listen.port()), ("http://b/-/reload", 8080));
        assert!(of(&["--listen-address=here"]).is_err());
    }
}
