//! Copying between files in the kernel. These calls wait for disks: they are made on threads.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

/// Makes `to`, an empty file, share all the blocks of `from` (`FICLONE`), where the file system
/// can. Returns whether it has.
pub(crate) fn share_blocks(from: &File, to: &File) -> bool {
    // SAFETY: the call takes a descriptor and touches no memory.
    unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) == 0 }
}

/// copy_file_range(2): copies at most `length` bytes at the same offset, and returns how many: zero
/// at the end of the file. `None` where the kernel cannot copy between these files.
pub(crate) fn copy_range(
    from: &File,
    to: &File,
    offset: u64,
    length: usize,
) -> io::Result<Option<usize>> {
    let (mut read, mut write) = (offset as i64, offset as i64);
    let (source, target) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: the call reads and writes the two offsets.
    let count = unsafe {
        libc::copy_file_range(source, ptr::from_mut(&mut read), target, &raw mut write, length, 0)
    };
    if let Ok(count) = usize::try_from(count) {
        return Ok(Some(count));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Of other file systems, of files of `/proc`, of what is no regular file, in a sandbox.
        Some(
            libc::ENOSYS
            | libc::EXDEV
            | libc::EINVAL
            | libc::EPERM
            | libc::EOPNOTSUPP
            | libc::EBADF
            | libc::ETXTBSY,
        ) => Ok(None),
        Some(libc::EINTR) => copy_range(from, to, offset, length),
        _ => Err(error),
    }
}

/// Where the next data begins, at an offset or after it; `None` if there is a hole to the end of
/// the file.
pub(crate) fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match seek(file, offset, libc::SEEK_DATA) {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        position => position.map(Some),
    }
}

/// Where the next hole begins, at an offset or after it: the end of the file is one.
pub(crate) fn next_hole(file: &File, offset: u64) -> io::Result<u64> {
    seek(file, offset, libc::SEEK_HOLE)
}

fn seek(file: &File, offset: u64, whence: libc::c_int) -> io::Result<u64> {
    // SAFETY: the call touches no memory.
    let position = unsafe { libc::lseek64(file.as_raw_fd(), offset as i64, whence) };
    u64::try_from(position).map_err(|_| io::Error::last_os_error())
}
