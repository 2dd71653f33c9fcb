//! What the API server asks of the node agent for the subresources that reach into a running pod: log, exec, attach, portforward.
//!
//! The node agent implements [`PodRuntime`]; the API server holds it in a [`PodRuntimeHandle`] that is filled after both started.

mod usage;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

pub use usage::{ContainerUsage, NodeUsage, PodUsage, Usage};

/// Why the node agent could not serve a request into a pod.
#[derive(Debug, thiserror::Error)]
pub enum PodRuntimeError {
    /// No such pod or container on this node. Answered as 404.
    #[error("{0}")]
    NotFound(String),
    /// The container is not in a state that allows it (not started yet, no previous instance). Answered as 400.
    #[error("{0}")]
    BadState(String),
    /// Anything else. Answered as 500.
    #[error("{0}")]
    Internal(String),
}

/// Which part of a container's log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Keep sending new lines until the container ends.
    pub follow: bool,
    /// Only the last so many lines.
    pub tail_lines: Option<u64>,
    /// Only lines written at or after this time (Unix milliseconds).
    pub since_unix_milliseconds: Option<i64>,
    /// The log of the previous, terminated instance.
    pub previous: bool,
    /// Put an RFC 3339 time before each line.
    pub timestamps: bool,
    /// End after so many bytes.
    pub limit_bytes: Option<u64>,
}

/// A container's log as it is read: chunks of whole or partial lines.
pub type LogStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// The readable end of a pipe or socket.
pub type ByteReader = Pin<Box<dyn AsyncRead + Send>>;

/// The writable end of a pipe or socket.
pub type ByteWriter = Pin<Box<dyn AsyncWrite + Send>>;

/// A connection to a port inside a pod.
pub trait PortStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> PortStream for T {}

/// What to run in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// Program and arguments. Ignored by `attach`.
    pub command: Vec<String>,
    /// Whether standard input is wanted.
    pub stdin: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted (never together with `tty`).
    pub stderr: bool,
    /// Run on a terminal; then output and error come together on standard output.
    pub tty: bool,
}

/// Terminal size in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// How an executed command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecExit {
    /// It exited with this code (128 + n when signal n ended it).
    Code(i32),
    /// It could not be run or watched.
    Failed(String),
}

/// A running command, or an attached container.
pub struct ExecSession {
    /// Where to write its standard input; dropping it closes the input.
    pub stdin: Option<ByteWriter>,
    /// Its standard output (with a terminal: everything).
    pub stdout: Option<ByteReader>,
    /// Its standard error.
    pub stderr: Option<ByteReader>,
    /// Where to send new terminal sizes; present with a terminal.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// Resolves once, when the command has ended. Dropping the session ends a command that still runs.
    pub exit: oneshot::Receiver<ExecExit>,
}

/// Access to running pods. Implemented by the node agent.
pub trait PodRuntime: Send + Sync + 'static {
    /// Opens a container's log.
    fn logs<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, PodRuntimeError>>;

    /// Starts a command in a container.
    fn exec<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        container: &'a str,
        options: ExecOptions,
    ) -> BoxFuture<'a, Result<ExecSession, PodRuntimeError>>;

    /// Joins the standard streams of a container's main process.
    fn attach<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        container: &'a str,
        options: ExecOptions,
    ) -> BoxFuture<'a, Result<ExecSession, PodRuntimeError>>;

    /// What the node and its pods use; `None` before it was measured.
    fn usage(&self) -> Option<NodeUsage>;

    /// Connects to a TCP port on the pod's loopback, as `kubectl port-forward` does.
    fn port_forward<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        port: u16,
    ) -> BoxFuture<'a, Result<Box<dyn PortStream>, PodRuntimeError>>;
}

/// The place where the node agent puts itself once it runs. Clones share the place.
#[derive(Clone, Default)]
pub struct PodRuntimeHandle {
    slot: Arc<OnceLock<Arc<dyn PodRuntime>>>,
}

impl PodRuntimeHandle {
    /// Binds the node agent. Only the first call counts; returns whether this was it.
    pub fn bind(&self, runtime: Arc<dyn PodRuntime>) -> bool {
        self.slot.set(runtime).is_ok()
    }

    /// The node agent, once bound.
    pub fn get(&self) -> Option<Arc<dyn PodRuntime>> {
        self.slot.get().cloned()
    }
}
