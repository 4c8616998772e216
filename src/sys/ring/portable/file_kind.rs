//! What a descriptor is, and how it was opened.

use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::call::outcome;

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A file, directory or block device: always ready, and its operations may wait for a device.
    File,
    Socket,
    /// A terminal, or another character device.
    Device,
    /// A pipe, or a descriptor without a file.
    Pipe,
}

/// What a descriptor is; the errno if it is none.
pub(super) fn file_kind(fd: RawFd) -> Result<FileKind, i32> {
    Ok(match file_type(fd)? & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => FileKind::File,
        libc::S_IFSOCK => FileKind::Socket,
        libc::S_IFCHR => FileKind::Device,
        _ => FileKind::Pipe,
    })
}

/// The type of a file, as in its mode. A file's type never changes, so its server is not asked,
/// which might take time.
fn file_type(fd: RawFd) -> Result<libc::mode_t, i32> {
    const AS_KNOWN: libc::c_int = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let mut stat = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: the path ends with a zero byte, and the call writes one `statx`.
    let result = unsafe {
        let (path, target) = (c"".as_ptr(), stat.as_mut_ptr());
        libc::syscall(libc::SYS_statx, fd, path, AS_KNOWN, libc::STATX_TYPE, target)
    };
    if result == 0 {
        // SAFETY: the call has succeeded, and so written it.
        return Ok(unsafe { stat.assume_init() }.stx_mode.into());
    }
    // A sandbox without that call, or no descriptor.
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call writes one `stat`.
    let result = outcome(unsafe { libc::fstat(fd, stat.as_mut_ptr()) } as isize);
    if result < 0 {
        return Err(-result);
    }
    // SAFETY: the call has succeeded, and so written it.
    Ok(unsafe { stat.assume_init() }.st_mode)
}

/// The flags of an open file (`F_GETFL`); the errno if it is none.
pub(super) fn open_flags(fd: RawFd) -> Result<i32, i32> {
    // SAFETY: the call takes no pointers.
    let flags = outcome(unsafe { libc::fcntl(fd, libc::F_GETFL) } as isize);
    if flags < 0 { Err(-flags) } else { Ok(flags) }
}
