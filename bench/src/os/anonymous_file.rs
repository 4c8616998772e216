//! Files without a name, in memory.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;

use super::check;

/// A new empty file, whose descriptor children inherit.
pub(crate) fn create() -> io::Result<File> {
    // SAFETY: the name is a string that ends in zero. Without flags, an exec keeps the file open.
    let fd = check(unsafe { libc::memfd_create(c"annulus-bench".as_ptr(), 0) })?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { File::from_raw_fd(fd) })
}
