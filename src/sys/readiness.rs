//! The events that polls wait for and report.

/// There is something to read, or the end of it.
pub(crate) const READABLE: u32 = libc::POLLIN as u32;

/// There is room for more.
pub(crate) const WRITABLE: u32 = libc::POLLOUT as u32;

/// The peer has ended or reset the connection.
pub(crate) const ENDED: u32 = (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as u32;
