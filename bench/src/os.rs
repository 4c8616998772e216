//! What the harness asks of the operating system beyond the standard library. All of its unsafe
//! calls are here, but for those of the hand-written ring server.

pub(crate) mod affinity;
pub(crate) mod anonymous_file;
pub(crate) mod clock;
pub(crate) mod datagrams;
pub(crate) mod descriptor;
pub(crate) mod epoll;
pub(crate) mod lifetime;
pub(crate) mod limits;
pub(crate) mod shared_page;
pub(crate) mod socket;

use std::io;

/// The result of a system call that says `-1` for "see errno".
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
