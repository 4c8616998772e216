//! System calls on an open file, where the ring has no operation or a call costs less.
//!
//! | call                       | may it wait?                                                    |
//! |----------------------------|-----------------------------------------------------------------|
//! | lseek(2) to an offset      | never                                                           |
//! | lseek(2) from the end      | for the server of a network file system                         |
//! | fcntl(2) `F_GETFL`         | never                                                           |

use std::io::{self, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};

use super::errno::ESPIPE;

/// Moves the file's own position and returns it.
pub(crate) fn seek(fd: &OwnedFd, to: SeekFrom) -> io::Result<u64> {
    let (offset, whence) = match to {
        SeekFrom::Start(offset) => (offset as i64, libc::SEEK_SET),
        SeekFrom::Current(offset) => (offset, libc::SEEK_CUR),
        SeekFrom::End(offset) => (offset, libc::SEEK_END),
    };
    // SAFETY: the call takes no pointers.
    let position = unsafe { libc::lseek64(fd.as_raw_fd(), offset, whence) };
    u64::try_from(position).map_err(|_| io::Error::last_os_error())
}

/// The file's own position; `None` if it has none, as a pipe or a terminal.
pub(crate) fn position(fd: &OwnedFd) -> io::Result<Option<u64>> {
    match seek(fd, SeekFrom::Current(0)) {
        Err(error) if error.raw_os_error() == Some(ESPIPE) => Ok(None),
        position => position.map(Some),
    }
}

/// Whether every write goes to the end of the file (`O_APPEND`).
pub(crate) fn appends(fd: &OwnedFd) -> io::Result<bool> {
    // SAFETY: the call takes no pointers.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 { Err(io::Error::last_os_error()) } else { Ok(flags & libc::O_APPEND != 0) }
}
