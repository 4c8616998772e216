//! The events that polls wait for and report, and what can be polled.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// There is something to read, or the end of it.
pub(crate) const READABLE: u32 = libc::POLLIN as u32;

/// There is room for more.
pub(crate) const WRITABLE: u32 = libc::POLLOUT as u32;

/// The connection is broken, or ended in both directions.
pub(crate) const BROKEN: u32 = (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) as u32;

/// There is something to read out of order, such as urgent data.
pub(crate) const PRIORITY: u32 = libc::POLLPRI as u32;

/// The peer sends no more.
pub(crate) const PEER_ENDED: u32 = libc::POLLRDHUP as u32;

/// Both directions have ended.
pub(crate) const HUNG_UP: u32 = libc::POLLHUP as u32;

/// There is an error to be read, or no reader is left.
pub(crate) const FAILED: u32 = libc::POLLERR as u32;

/// Whether a poll of a descriptor says anything. Files of a file system are always ready, and a
/// read of them may block all the same.
pub(crate) fn has_readiness(fd: RawFd) -> io::Result<bool> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call writes one `stat`.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, and so written it.
    let kind = unsafe { stat.assume_init() }.st_mode & libc::S_IFMT;
    Ok(!matches!(kind, libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK))
}
