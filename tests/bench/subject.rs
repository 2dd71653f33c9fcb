//! The proxies that are measured, and how each is told to be one hop.

mod envoy;
mod haproxy;
mod nginx;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::arguments::Arguments;
use crate::certificates::Certificates;
use crate::process::Process;

/// A proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Sagene,
    Envoy,
    Nginx,
    Haproxy,
}

/// What one process does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'c> {
    pub(crate) listen: SocketAddr,
    pub(crate) forward: SocketAddr,
    pub(crate) side: Side<'c>,
    pub(crate) extras: Extras,
}

/// What a hop does besides forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extras {
    Nothing,
    /// A policy and an access log.
    Logged,
    /// What a sidecar has: a policy of ten rules, retries, circuit breakers, the mesh's metrics, an access log.
    Mesh,
}

/// Where there is TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side<'c> {
    Plain,
    /// Towards the next hop, with a client certificate.
    Sends(&'c Certificates),
    /// From the last hop, whose certificate is asked for.
    Receives(&'c Certificates),
}

/// What is installed.
#[derive(Debug)]
pub(crate) struct Programs {
    found: Vec<(Kind, PathBuf)>,
    missing: Vec<String>,
}

impl Programs {
    pub(crate) fn find(arguments: &Arguments) -> Self {
        let wanted = |kind: Kind| arguments.subjects.is_empty() || arguments.subjects.contains(&kind);
        let mut programs = Self { found: Vec::new(), missing: Vec::new() };
        let candidates = [
            (Kind::Sagene, arguments.sagene.clone()),
            (Kind::Envoy, arguments.envoy.clone()),
            (Kind::Nginx, "nginx".into()),
            (Kind::Haproxy, "haproxy".into()),
        ];
        for (kind, name) in candidates.into_iter().filter(|(kind, _)| wanted(*kind)) {
            match locate(&name) {
                Some(path) => programs.found.push((kind, path)),
                None => programs.missing.push(format!("{} ({})", kind.name(), name.display())),
            }
        }
        programs
    }

    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.found.iter().map(|(kind, _)| *kind).collect()
    }

    /// Starts a proxy as a hop and waits until it serves.
    pub(crate) fn start(&self, kind: Kind, hop: &Hop<'_>, folder: &Path) -> anyhow::Result<Process> {
        let program = self.found.iter().find(|(each, _)| *each == kind).map(|(_, path)| path);
        let program = program.with_context(|| format!("{} is not there", kind.name()))?;
        let file = folder.join(format!("{}-{}.{}", kind.name(), hop.listen.port(), kind.extension()));
        std::fs::write(&file, kind.config(hop, folder)).context("cannot write a configuration")?;
        let mut command = Command::new(program);
        match kind {
            Kind::Sagene => command.args(["proxy", "--concurrency", "1", "--config"]).arg(&file),
            Kind::Envoy => command
                .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"])
                .arg(&file),
            Kind::Nginx => command.arg("-p").arg(folder).arg("-e").arg("/dev/null").arg("-c").arg(&file),
            Kind::Haproxy => command.args(["-db", "-f"]).arg(&file),
        };
        Process::start(command, hop.listen, matches!(hop.side, Side::Receives(_)))
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sagene => "Sagene",
            Self::Envoy => "Envoy",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    /// Whether policy and access log of the `features` case can be said in its configuration by the same file.
    pub(crate) fn has_features(self) -> bool {
        matches!(self, Self::Sagene | Self::Envoy)
    }

    fn extension(self) -> &'static str {
        if self.has_features() { "yaml" } else { "conf" }
    }

    fn config(self, hop: &Hop<'_>, folder: &Path) -> String {
        match self {
            Self::Sagene | Self::Envoy => envoy::config(hop),
            Self::Nginx => nginx::config(hop, folder),
            Self::Haproxy => haproxy::config(hop),
        }
    }
}

/// The program itself, or found in PATH and where Debian keeps daemons.
fn locate(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return name.is_file().then(|| name.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}
