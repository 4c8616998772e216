//! Paths as the kernel takes them, and the system calls on them that the ring does not have, or not
//! on every kernel.
//!
//! These calls may wait for a disk: they are made on threads, never on that of an event loop.

use std::ffi::{CStr, CString, OsStr, c_int};
use std::fmt;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::errno::EINTR;
use super::resolve::RESOLVE_NO_XDEV;
use super::types::Fd;

pub(crate) use libc::{
    AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, RENAME_EXCHANGE, RENAME_NOREPLACE,
};

/// A path, and the directory that it is relative to.
///
/// It owns both, so it may be given to another thread, and an SQE may point to it: the path's bytes
/// are on the heap and do not change.
#[derive(Clone)]
pub(crate) struct PathAt {
    /// `None` is the working directory of the process.
    directory: Option<Arc<OwnedFd>>,
    path: CString,
}

impl PathAt {
    /// Relative to the working directory, if it is not absolute.
    pub(crate) fn new(path: CString) -> Self {
        Self { directory: None, path }
    }

    pub(crate) fn beneath(directory: Arc<OwnedFd>, path: CString) -> Self {
        Self { directory: Some(directory), path }
    }

    /// The object that a descriptor refers to, for a call that takes `AT_EMPTY_PATH`.
    pub(crate) fn of_descriptor(fd: Arc<OwnedFd>) -> Self {
        Self::beneath(fd, CString::default())
    }

    pub(crate) fn path(&self) -> &CStr {
        &self.path
    }

    pub(crate) fn directory(&self) -> Directory<'_> {
        self.directory.as_ref().map_or(Directory::Working, |fd| Directory::Open(fd.as_fd()))
    }

    pub(crate) fn raw_directory(&self) -> RawFd {
        self.directory().raw()
    }

    /// The directory as an SQE carries it.
    pub(crate) fn sqe_directory(&self) -> Fd {
        Fd(self.raw_directory())
    }
}

impl fmt::Display for PathAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Path::new(OsStr::from_bytes(self.path.to_bytes())).display().fmt(f)
    }
}

/// mkdirat(2).
pub(crate) fn create_directory(at: &PathAt, mode: u32) -> io::Result<()> {
    // SAFETY: the call reads the path, which ends with a zero byte.
    check(unsafe { libc::mkdirat(at.raw_directory(), at.path.as_ptr(), mode) })
}

/// linkat(2), which does not follow a symbolic link.
pub(crate) fn hard_link(from: &PathAt, to: &PathAt) -> io::Result<()> {
    let (old, new) = (from.raw_directory(), to.raw_directory());
    // SAFETY: the call reads the paths, which end with a zero byte.
    check(unsafe { libc::linkat(old, from.path.as_ptr(), new, to.path.as_ptr(), 0) })
}

/// symlinkat(2).
pub(crate) fn symbolic_link(target: &CStr, at: &PathAt) -> io::Result<()> {
    // SAFETY: the call reads the paths, which end with a zero byte.
    check(unsafe { libc::symlinkat(target.as_ptr(), at.raw_directory(), at.path.as_ptr()) })
}

/// unlinkat(2) of one name in a directory; `AT_REMOVEDIR` removes a directory.
pub(crate) fn remove_in(directory: Directory<'_>, name: &CStr, flags: c_int) -> io::Result<()> {
    // SAFETY: the call reads the name, which ends with a zero byte.
    check(unsafe { libc::unlinkat(directory.raw(), name.as_ptr(), flags) })
}

/// Opens a directory by its name in another one, to list it; fails with `ENOTDIR` for a symbolic
/// link, also to a directory, and with `ELOOP` on some file systems. With `stays_on_mount` it fails
/// with `EXDEV` where another file system is mounted on the name.
pub(crate) fn open_directory_in(
    directory: Directory<'_>,
    name: &CStr,
    stays_on_mount: bool,
) -> io::Result<OwnedFd> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let (raw, path) = (directory.raw(), name.as_ptr());
    let fd = if stays_on_mount {
        // SAFETY: all fields are integers.
        let mut how: libc::open_how = unsafe { mem::zeroed() };
        (how.flags, how.resolve) = (flags as u64, RESOLVE_NO_XDEV);
        let (how, size) = (&raw const how, size_of::<libc::open_how>());
        // SAFETY: the call reads the name, which ends with a zero byte, and `size` bytes of `how`.
        retry(|| unsafe { libc::syscall(libc::SYS_openat2, raw, path, how, size) as c_int })?
    } else {
        // SAFETY: the call reads the name, which ends with a zero byte.
        retry(|| unsafe { libc::openat(raw, path, flags) })?
    };
    // SAFETY: the descriptor is new.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether a name in a directory is that of a symbolic link.
pub(crate) fn is_symbolic_link(directory: Directory<'_>, name: &CStr) -> bool {
    let mut byte = [0_u8; 1];
    // SAFETY: the call reads the name, which ends with a zero byte, and writes one byte at most.
    unsafe { libc::readlinkat(directory.raw(), name.as_ptr(), byte.as_mut_ptr().cast(), 1) > 0 }
}

/// readlinkat(2) of a symbolic link; with an empty path, of the link that the directory's
/// descriptor refers to.
pub(crate) fn read_link(at: &PathAt) -> io::Result<Vec<u8>> {
    let mut target = Vec::<u8>::with_capacity(256);
    loop {
        let (start, room) = (target.as_mut_ptr(), target.capacity());
        // SAFETY: the call reads the path and writes at most `room` bytes to the vector's memory.
        let count =
            unsafe { libc::readlinkat(at.raw_directory(), at.path.as_ptr(), start.cast(), room) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        // A full buffer may have cut the target off.
        if count < room {
            // SAFETY: the call has written `count` bytes, within the capacity.
            unsafe { target.set_len(count) };
            return Ok(target);
        }
        target.reserve(2 * room);
    }
}

/// chmod(2) of what a descriptor refers to, also one that was opened as a mere path.
pub(crate) fn set_mode(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    // fchmod(2) refuses such a descriptor, and fchmodat2(2) is of Linux 6.6.
    let path = format!("/proc/self/fd/{}\0", fd.as_raw_fd());
    // SAFETY: the call reads the path, which ends with a zero byte.
    check(unsafe { libc::chmod(path.as_ptr().cast(), mode) })
}

/// A directory in which a name is looked up.
#[derive(Clone, Copy)]
pub(crate) enum Directory<'a> {
    /// The working directory; the name may be an absolute path.
    Working,
    Open(BorrowedFd<'a>),
}

impl Directory<'_> {
    fn raw(self) -> RawFd {
        match self {
            Self::Working => libc::AT_FDCWD,
            Self::Open(fd) => fd.as_raw_fd(),
        }
    }
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn retry(mut call: impl FnMut() -> c_int) -> io::Result<c_int> {
    loop {
        let result = call();
        if result >= 0 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(EINTR) {
            return Err(error);
        }
    }
}
