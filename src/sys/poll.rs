//! The events that polls wait for and report.

/// There is something to read, or the end of it.
pub(crate) const READABLE: u32 = libc::POLLIN as u32;

/// There is room for more.
pub(crate) const WRITABLE: u32 = libc::POLLOUT as u32;

/// The connection is broken, or ended in both directions.
pub(crate) const BROKEN: u32 = (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) as u32;
