//! A container's standard input, kept open for those who attach to it.

use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::Mutex;

use super::terminal::Terminal;
use crate::pod_runtime::{ByteWriter, TerminalSize};

/// Where a container with `stdin: true` reads from.
pub(crate) struct StandardInput {
    /// Taken by who attaches; `None` once it was closed.
    writer: Mutex<Option<ByteWriter>>,
    /// `stdinOnce`: closed with the first who attached.
    once: bool,
    /// With `tty: true`, the terminal it is.
    terminal: Option<Terminal>,
}

impl StandardInput {
    pub(crate) fn new(writer: ByteWriter, once: bool, terminal: Option<Terminal>) -> Self {
        Self { writer: Mutex::new(Some(writer)), once, terminal }
    }

    /// Writes what a client sends until it ends. Clients that attach at the same time wait for each other.
    pub(crate) async fn feed(&self, mut client: impl AsyncRead + Unpin) {
        let mut place = self.writer.lock().await;
        let Some(writer) = place.as_mut() else { return };
        // A container that no longer reads ends the copying, too.
        let _ = tokio::io::copy(&mut client, writer).await;
        let _ = writer.flush().await;
        if self.once
            && let Some(mut writer) = place.take()
        {
            let _ = writer.shutdown().await;
        }
    }

    /// Tells programs on the terminal its new size.
    pub(crate) fn resize(&self, size: TerminalSize) {
        if let Some(terminal) = &self.terminal {
            terminal.resize(size);
        }
    }
}
