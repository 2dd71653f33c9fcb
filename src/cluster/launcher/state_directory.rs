//! Where a cluster keeps everything, and the names of the files there.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::LauncherError;

/// A cluster's state directory. Holding one does not mean that it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDirectory {
    root: PathBuf,
}

impl StateDirectory {
    /// The given directory, else `$SAGENE_HOME`, `$XDG_STATE_HOME/sagene` or `~/.local/state/sagene`.
    pub fn resolve(explicit: Option<PathBuf>) -> Result<Self, LauncherError> {
        Self::resolve_from(explicit, |name| {
            std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
        })
    }

    fn resolve_from(
        explicit: Option<PathBuf>,
        environment: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self, LauncherError> {
        let root = explicit
            .or_else(|| environment("SAGENE_HOME"))
            .or_else(|| environment("XDG_STATE_HOME").map(|path| path.join("sagene")))
            .or_else(|| environment("HOME").map(|path| path.join(".local/state/sagene")))
            .ok_or(LauncherError::NoHome)?;
        if !root.is_absolute() || root.parent().is_none() {
            return Err(LauncherError::BadDirectory(root));
        }
        Ok(Self { root })
    }

    /// Creates it, readable by its owner alone.
    pub fn create(&self) -> Result<(), LauncherError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
            .map_err(LauncherError::file("create", &self.root))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Locked while a daemon lives.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("cluster.lock")
    }

    /// Locked while the node process lives, which ends a moment after a daemon that was killed.
    pub fn node_lock_file(&self) -> PathBuf {
        self.root.join("node.lock")
    }

    /// Who runs and where it listens.
    pub fn record(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    /// For kubectl and every other client.
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// What the daemon says.
    pub fn log(&self) -> PathBuf {
        self.root.join("daemon.log")
    }

    /// The API server's objects and keys.
    pub fn api_server(&self) -> PathBuf {
        self.root.join("apiserver")
    }

    /// Container logs and disk-backed volumes, a folder for each pod.
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// PersistentVolumes that were made on demand, a folder for each.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// Mount point of the node's private tmpfs; empty as seen from outside.
    pub fn node(&self) -> PathBuf {
        self.root.join("node")
    }

    /// The program that containers run: a file that nobody else replaces.
    pub fn program(&self) -> PathBuf {
        self.root.join("program")
    }

    /// Every name a cluster creates here.
    pub(super) const NAMES: [&'static str; 12] = [
        "cluster.lock",
        "node.lock",
        "cluster.json",
        "kubeconfig",
        "daemon.log",
        "daemon.log.1",
        "apiserver",
        "pods",
        "volumes",
        "node",
        "program",
        "program.new",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_wins_and_relative_paths_are_refused() {
        let with = |name: &'static str, value: &'static str| {
            move |asked: &str| (asked == name).then(|| PathBuf::from(value))
        };
        let root = |result: Result<StateDirectory, LauncherError>| result.unwrap().root;
        assert_eq!(
            root(StateDirectory::resolve_from(Some("/a".into()), with("SAGENE_HOME", "/b"))),
            Path::new("/a")
        );
        assert_eq!(root(StateDirectory::resolve_from(None, with("SAGENE_HOME", "/b"))), Path::new("/b"));
        assert_eq!(
            root(StateDirectory::resolve_from(None, with("XDG_STATE_HOME", "/x"))),
            Path::new("/x/sagene")
        );
        assert_eq!(
            root(StateDirectory::resolve_from(None, with("HOME", "/h"))),
            Path::new("/h/.local/state/sagene")
        );
        assert!(matches!(StateDirectory::resolve_from(None, |_| None), Err(LauncherError::NoHome)));
        assert!(matches!(
            StateDirectory::resolve_from(Some("state".into()), |_| None),
            Err(LauncherError::BadDirectory(_))
        ));
    }
}
