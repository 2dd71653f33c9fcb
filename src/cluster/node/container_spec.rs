//! What a container's process has to do before it becomes the container's program. Handed over as a file of JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything a container's first process needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerSpec {
    pub(crate) program: ProgramSpec,
    pub(crate) root: RootSpec,
    /// Receives the reason when the program could not be started.
    pub(crate) error_file: PathBuf,
}

/// What to run and as whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ProgramSpec {
    /// Program and arguments. Never empty.
    pub(crate) arguments: Vec<String>,
    /// The whole environment.
    pub(crate) environment: Vec<(String, String)>,
    /// `/` when empty.
    pub(crate) working_directory: String,
    /// `None`: stay root of the namespace.
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    pub(crate) supplementary_groups: Vec<u32>,
    /// `allowPrivilegeEscalation: false`.
    pub(crate) no_new_privileges: bool,
    /// Numbers of the capabilities that stay possible. `None`: all.
    pub(crate) capabilities: Option<Vec<u8>>,
    /// The standard streams are a terminal, which is to be the controlling one of a new session.
    pub(crate) terminal: bool,
}

/// The container's file system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RootSpec {
    /// Empty directory to build it on, in the node's tmpfs.
    pub(crate) build_directory: PathBuf,
    /// This program's file; appears as [`PROGRAM_PATH`].
    pub(crate) program_file: PathBuf,
    /// Names in `/usr/local/bin` that call this program.
    pub(crate) program_names: Vec<String>,
    /// Directories of the image that its program writes to; empty and in memory.
    pub(crate) written_folders: Vec<PathBuf>,
    /// Directories of the machine that no container may see.
    pub(crate) hidden: Vec<PathBuf>,
    /// In the order in which they are mounted: parents before what lies in them.
    pub(crate) mounts: Vec<MountSpec>,
    /// `readOnlyRootFilesystem`.
    pub(crate) read_only: bool,
}

/// One thing that appears in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountSpec {
    /// Directory or file as the node sees it.
    pub(crate) source: PathBuf,
    /// Absolute path in the container.
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
}

/// Where a container finds this program whatever its volumes cover.
pub(crate) const PROGRAM_PATH: &str = "/.sagene";
