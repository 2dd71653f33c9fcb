//! The directories behind a pod's volumes.
//!
//! What is kept in memory (contents of ConfigMaps, Secrets and tokens, memory-backed emptyDirs) lies in the node's private tmpfs and
//! is invisible outside; disk-backed emptyDirs lie in the state directory and go with their pod.

mod claim;
mod content;
mod error;
mod host_path;
mod nested;
mod token;
mod write;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use content::{ContentSource, Files};
pub(crate) use error::VolumeError;
use token::TokenCache;

use super::field_value::FieldAddresses;
use super::pod_spec::{Container, PodSpec, Volume};
use crate::api_client::ApiClient;

/// A pod's volumes.
pub(crate) struct PodVolumes {
    disk: PathBuf,
    memory: PathBuf,
    /// What was last written, by volume.
    written: HashMap<String, Files>,
    /// Where the volumes of claims are, by volume.
    claimed: HashMap<String, PathBuf>,
    tokens: TokenCache,
    /// Whether files can be given to other users and groups.
    rootless: bool,
}

impl PodVolumes {
    /// `disk` and `memory` are the pod's own folders; neither has to exist.
    pub(crate) fn new(disk: PathBuf, memory: PathBuf, rootless: bool) -> Self {
        Self {
            disk,
            memory,
            written: HashMap::new(),
            claimed: HashMap::new(),
            tokens: TokenCache::default(),
            rootless,
        }
    }

    /// Makes what is missing and rewrites what has changed in the API. Called again from time to time.
    pub(crate) async fn update(
        &mut self,
        api: &ApiClient,
        pod: &Value,
        spec: &PodSpec,
        addresses: FieldAddresses,
    ) -> Result<(), VolumeError> {
        for volume in &spec.volumes {
            if let Some(claim) = &volume.persistent_volume_claim {
                let path =
                    claim::find(api, pod, claim).await.map_err(|error| error.in_volume(&volume.name))?;
                self.give_to_group(&path, spec)?;
                self.claimed.insert(volume.name.clone(), path);
                continue;
            }
            let mut source = ContentSource { api, pod, spec, addresses, tokens: &mut self.tokens };
            let files =
                content::of(volume, &mut source).await.map_err(|error| error.in_volume(&volume.name))?;
            match files {
                Some(files) => self.write(volume, files, spec)?,
                None => self.create(volume, spec)?,
            }
        }
        Ok(())
    }

    /// The directory (or, for a hostPath, file) of a volume.
    pub(crate) fn source(&self, volume: &Volume) -> PathBuf {
        if let Some(host_path) = &volume.host_path {
            return PathBuf::from(&host_path.path);
        }
        if let Some(path) = self.claimed.get(&volume.name) {
            return path.clone();
        }
        match &volume.empty_dir {
            Some(empty) if empty.medium != "Memory" => self.disk.join("volumes").join(&volume.name),
            None if volume.is_empty_dir() => self.disk.join("volumes").join(&volume.name),
            _ => self.memory.join(&volume.name),
        }
    }

    /// The pod's `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`, written once.
    pub(crate) fn write_identity(&self, name: &str, text: &str) -> Result<PathBuf, VolumeError> {
        let path = self.memory.join(".etc").join(name);
        write::file(&path, text.as_bytes(), 0o644).map_err(VolumeError::file("write", &path))?;
        Ok(path)
    }

    /// The file a container leaves its last words in.
    pub(crate) fn termination_log(&self, container: &Container) -> Result<PathBuf, VolumeError> {
        let path = self.memory.join(".termination").join(&container.name);
        write::file(&path, &[], 0o666).map_err(VolumeError::file("write", &path))?;
        Ok(path)
    }

    /// Removes everything in memory, and what lies on disk except the logs.
    pub(crate) fn remove(&self) {
        for path in [self.memory.clone(), self.disk.join("volumes")] {
            if let Err(error) = fs::remove_dir_all(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove a volume");
            }
        }
    }

    fn create(&self, volume: &Volume, spec: &PodSpec) -> Result<(), VolumeError> {
        if let Some(host_path) = &volume.host_path {
            return host_path::check(&volume.name, host_path);
        }
        let path = self.source(volume);
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&path).map_err(VolumeError::file("create", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))
            .map_err(VolumeError::file("open up", &path))?;
        self.give_to_group(&path, spec)
    }

    fn write(&mut self, volume: &Volume, files: Files, spec: &PodSpec) -> Result<(), VolumeError> {
        if self.written.get(&volume.name) == Some(&files) {
            return Ok(());
        }
        let path = self.source(volume);
        let group = spec.security_context.fs_group.filter(|_| !self.rootless);
        write::directory(&path, &files, group).map_err(VolumeError::file("write", &path))?;
        nested::make(&path, &volume.name, spec).map_err(VolumeError::file("make mount points in", &path))?;
        self.written.insert(volume.name.clone(), files);
        Ok(())
    }

    fn give_to_group(&self, path: &Path, spec: &PodSpec) -> Result<(), VolumeError> {
        match spec.security_context.fs_group {
            Some(group) if !self.rootless => std::os::unix::fs::chown(path, None, Some(group))
                .map_err(VolumeError::file("change the group of", path)),
            _ => Ok(()),
        }
    }
}
