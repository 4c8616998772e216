//! System calls on an open file, where the ring has no operation or a call costs less.
//!
//! | call                       | may it wait?                                                    |
//! |----------------------------|-----------------------------------------------------------------|
//! | lseek(2) to an offset      | never                                                           |
//! | lseek(2) from the end      | for the server of a network file system                         |
//! | fcntl(2) `F_GETFL`         | never                                                           |
//! | ftruncate(2)               | for a disk                                                      |
//! | linkat(2)                  | for a disk                                                      |
//! | flock(2)                   | for who has the lock; with `LOCK_NB`, and to unlock, for the    |
//! |                            | server of a network file system                                 |

use std::ffi::{CStr, CString};
use std::io::{self, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};

pub(crate) use libc::{
    FALLOC_FL_COLLAPSE_RANGE as COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE as INSERT_RANGE,
    FALLOC_FL_KEEP_SIZE as KEEP_SIZE, FALLOC_FL_PUNCH_HOLE as PUNCH_HOLE,
    FALLOC_FL_ZERO_RANGE as ZERO_RANGE, POSIX_FADV_DONTNEED as ADVICE_DONT_NEED,
    POSIX_FADV_NOREUSE as ADVICE_NO_REUSE, POSIX_FADV_NORMAL as ADVICE_NORMAL,
    POSIX_FADV_RANDOM as ADVICE_RANDOM, POSIX_FADV_SEQUENTIAL as ADVICE_SEQUENTIAL,
    POSIX_FADV_WILLNEED as ADVICE_WILL_NEED,
};

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

/// Cuts a file off, or extends it by a hole.
pub(crate) fn set_len(fd: &OwnedFd, length: u64) -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    match unsafe { libc::ftruncate64(fd.as_raw_fd(), length as i64) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives an open file a name more. Through /proc, since the call that takes the descriptor itself
/// is for privileged processes alone.
pub(crate) fn link(fd: &OwnedFd, path: &CStr) -> io::Result<()> {
    let from = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    let (at, follow) = (libc::AT_FDCWD, libc::AT_SYMLINK_FOLLOW);
    // SAFETY: the call reads the two texts, which end with a zero byte and live across it.
    match unsafe { libc::linkat(at, from.as_ptr(), at, path.as_ptr(), follow) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What flock(2) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockKind {
    Exclusive,
    Shared,
}

/// Locks a file, and waits until that is possible.
pub(crate) fn lock(fd: &OwnedFd, kind: LockKind) -> io::Result<()> {
    loop {
        match flock(fd, operation(kind)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Locks a file. `WouldBlock` if that is not possible now.
pub(crate) fn try_lock(fd: &OwnedFd, kind: LockKind) -> io::Result<()> {
    flock(fd, operation(kind) | libc::LOCK_NB)
}

pub(crate) fn unlock(fd: &OwnedFd) -> io::Result<()> {
    flock(fd, libc::LOCK_UN)
}

fn operation(kind: LockKind) -> i32 {
    match kind {
        LockKind::Exclusive => libc::LOCK_EX,
        LockKind::Shared => libc::LOCK_SH,
    }
}

fn flock(fd: &OwnedFd, operation: i32) -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    match unsafe { libc::flock(fd.as_raw_fd(), operation) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
