//! Options of sockets by number, as configurations give them.

#![allow(unsafe_code, reason = "socket2 knows options by name only")]

use std::io;
use std::os::fd::AsRawFd;

use socket2::SockRef;

/// Sets an option (`setsockopt`).
pub(crate) fn set(socket: &SockRef<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open as long as the reference to its socket; the kernel reads `length` bytes of `value` and keeps none.
    let status = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
