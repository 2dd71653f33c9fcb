//! Where the cluster's address and credentials come from.
//!
//! Order: `--embedded` or `--context sagene-embedded`; `--kubeconfig`; `KUBECONFIG`; `~/.kube/config`; the pod's own service
//! account; the embedded cluster of this machine.

use std::path::{Path, PathBuf};

use http::Uri;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::embedded;
use super::kubeconfig::read;
use crate::cli::Globals;
use crate::exit::Failure;

/// A cluster that can be connected to.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// This machine's embedded cluster: the kubeconfig it wrote.
    Embedded(PathBuf),
    /// A kubeconfig and, for messages, where it came from.
    Kubeconfig(Box<Kubeconfig>, String),
    /// The service account of the pod this runs in.
    InCluster,
}

impl Source {
    /// Finds the source; `None` when nothing is configured and no embedded cluster exists.
    pub(crate) fn find(globals: &Globals) -> Result<Option<Self>, Failure> {
        if globals.embedded
            || (globals.context.as_deref() == Some(embedded::EMBEDDED_CONTEXT)
                && globals.kubeconfig.is_none())
        {
            return match embedded::kubeconfig() {
                Some(path) => Ok(Some(Self::Embedded(path))),
                None => Ok(None),
            };
        }
        let wished = globals.context.as_ref().filter(|context| !context.is_empty());
        if let Some(path) = globals.kubeconfig.as_deref().filter(|path| !path.is_empty()) {
            return Self::from_file(Path::new(path)).map(|source| Some(source.with_context(wished)));
        }
        if let Some(source) = Self::ambient()? {
            return Ok(Some(source.with_context(wished)));
        }
        if is_in_cluster() {
            return Ok(Some(Self::InCluster));
        }
        if let Some(context) = wished {
            return Err(Failure::new(format!(
                "context \"{context}\" does not exist: there is no kubeconfig"
            ))
            .hint("--kubeconfig FILE or KUBECONFIG names one"));
        }
        Ok(embedded::kubeconfig().map(Self::Embedded))
    }

    /// The kubeconfig that commands with these flags use; of several in `KUBECONFIG` the first that exists.
    pub(crate) fn file(globals: &Globals) -> Option<PathBuf> {
        if let Some(path) = globals.kubeconfig.as_deref().filter(|path| !path.is_empty()) {
            return Some(PathBuf::from(path)).filter(|path| path.exists());
        }
        match Self::find(globals) {
            Ok(Some(Self::Embedded(path))) => Some(path),
            _ => ambient_files().0.into_iter().find(|path| path.exists()),
        }
    }

    /// This machine's embedded cluster, if it ever ran.
    pub(crate) fn embedded() -> Option<Self> {
        embedded::kubeconfig().map(Self::Embedded)
    }

    /// Whether a command without flags reaches the embedded cluster.
    pub(crate) fn default_is_embedded() -> bool {
        Self::find(&Globals::default()).is_ok_and(|source| source.is_some_and(|source| source.is_embedded()))
    }

    /// For messages before anything is contacted.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Embedded(_) => "the embedded cluster of this machine".to_owned(),
            Self::InCluster => "the cluster this pod runs in".to_owned(),
            Self::Kubeconfig(config, origin) => {
                format!("context {:?} of {origin}", config.current_context.as_deref().unwrap_or_default())
            }
        }
    }

    /// Makes the wished context the current one.
    fn with_context(mut self, wished: Option<&String>) -> Self {
        if let (Self::Kubeconfig(config, _), Some(context)) = (&mut self, wished) {
            config.current_context = Some(context.clone());
        }
        self
    }

    /// `KUBECONFIG` (a list of files is merged) or the user's default file. A file without contexts counts as absent.
    fn ambient() -> Result<Option<Self>, Failure> {
        let (paths, origin) = ambient_files();
        let mut merged: Option<Kubeconfig> = None;
        for path in paths.iter().filter(|path| path.exists()) {
            let next = read(path)?;
            merged = Some(match merged {
                Some(merged) => merged.merge(next)?,
                None => next,
            });
        }
        let merged = merged.filter(|config| !config.contexts.is_empty());
        Ok(merged.map(|config| Self::Kubeconfig(Box::new(config), origin.to_owned())))
    }

    fn from_file(path: &Path) -> Result<Self, Failure> {
        if !path.exists() {
            return Err(Failure::new(format!("--kubeconfig {}: no such file", path.display())));
        }
        Ok(Self::Kubeconfig(Box::new(read(path)?), path.display().to_string()))
    }

    /// Where a server finds its cluster: the file it is given, else the one of its environment, else the cluster it runs in.
    pub(crate) fn of_server(kubeconfig: Option<&Path>) -> Result<Self, Failure> {
        match kubeconfig {
            Some(path) => Self::from_file(path),
            None => match Self::ambient()? {
                Some(source) => Ok(source),
                None if is_in_cluster() => Ok(Self::InCluster),
                None => Err(Failure::new("there is neither a kubeconfig nor a cluster around this process")
                    .hint(
                        "--kubeconfig FILE or KUBECONFIG names one; a pod has its service account's token",
                    )),
            },
        }
    }

    /// Client settings for it.
    pub(crate) async fn config(&self) -> Result<Config, Failure> {
        let kubeconfig = match self {
            Self::InCluster => return Ok(Config::incluster()?),
            Self::Embedded(path) => read(path)?,
            Self::Kubeconfig(config, _) => (**config).clone(),
        };
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        match kubeconfig.current_context.as_deref().unwrap_or_default() {
            "" => {
                return Err(Failure::new("the kubeconfig has no current context")
                    .hint(format!("choose one with --context: {}", known.join(", "))));
            }
            context if !known.contains(&context) => {
                return Err(Failure::new(format!("context \"{context}\" does not exist"))
                    .hint(format!("known contexts: {}", known.join(", "))));
            }
            _ => {}
        }
        let options = KubeConfigOptions::default();
        Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| Failure::from(error).context("the kubeconfig cannot be used"))
    }

    /// Whether this is the embedded cluster, by whatever road it was found.
    pub(crate) fn is_embedded(&self) -> bool {
        match self {
            Self::Embedded(_) => true,
            Self::Kubeconfig(config, _) => {
                config.current_context.as_deref() == Some(embedded::EMBEDDED_CONTEXT)
            }
            Self::InCluster => false,
        }
    }

    /// For messages.
    pub(crate) fn description(&self, address: &Uri) -> String {
        format!("{} ({address})", self.name())
    }
}

/// Whether this process is in a pod that may talk to its cluster.
fn is_in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
}

/// Where kubeconfigs are looked for without flags, and how messages call it.
fn ambient_files() -> (Vec<PathBuf>, &'static str) {
    match std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(list) => (std::env::split_paths(&list).collect(), "KUBECONFIG"),
        None => (
            std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
            "~/.kube/config",
        ),
    }
}
