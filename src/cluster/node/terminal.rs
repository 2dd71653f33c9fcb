//! The master side of a pseudo-terminal that lies inside a container.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::process::on_new_thread;
use crate::pod_runtime::TerminalSize;

/// A terminal's master side. Clones share it; its end is when the last clone is gone.
#[derive(Clone)]
pub(crate) struct Terminal {
    master: Arc<AsyncFd<OwnedFd>>,
}

impl Terminal {
    /// Opens a new terminal among those of a container; also returns its other side.
    pub(super) fn open_in(container: i32) -> io::Result<(Self, OwnedFd)> {
        let mounts = File::open(format!("/proc/{container}/ns/mnt"))?;
        let (master, peer) = on_new_thread(|| {
            unshare(CloneFlags::CLONE_FS)?;
            setns(mounts, CloneFlags::CLONE_NEWNS)?;
            open_pair()
        })?;
        Ok((Self::of(master)?, peer))
    }

    /// Opens a new terminal among those of the machine, for a container that has no mounts yet; also returns its other side.
    pub(super) fn open() -> io::Result<(Self, OwnedFd)> {
        let (master, peer) = open_pair()?;
        Ok((Self::of(master)?, peer))
    }

    fn of(master: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&master, true)?;
        // The newer constructor is unsafe, for file types that could be exchanged behind its back; an `OwnedFd` that nobody else has
        // cannot be.
        #[allow(deprecated)]
        let master = AsyncFd::new(master)?;
        Ok(Self { master: Arc::new(master) })
    }

    /// Tells programs on the terminal its new size.
    pub(crate) fn resize(&self, size: TerminalSize) {
        let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
        if let Err(error) = tcsetwinsize(self.master.get_ref(), size) {
            tracing::debug!(%error, "cannot resize a terminal");
        }
    }
}

fn open_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let peer = ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, peer))
}

impl AsyncRead for Terminal {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.master.poll_read_ready(context))?;
            let read =
                guard.try_io(|master| Ok(rustix::io::read(master.get_ref(), buffer.initialize_unfilled())?));
            match read {
                Ok(Ok(length)) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                // The last program has closed the terminal: that is its end.
                Ok(Err(error)) if error.raw_os_error() == Some(nix::libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.master.poll_write_ready(context))?;
            match guard.try_io(|master| Ok(rustix::io::write(master.get_ref(), bytes)?)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
