//! Descriptors and `exec`.

use std::io;
use std::os::fd::RawFd;

use super::check;

/// Keeps a descriptor open in the program that this process becomes.
pub(crate) fn inherit(fd: RawFd) -> io::Result<()> {
    // SAFETY: the call takes no pointer; without `FD_CLOEXEC` the descriptor outlives an exec.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })?;
    Ok(())
}
