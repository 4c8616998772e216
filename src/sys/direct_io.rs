//! Direct I/O (`O_DIRECT`): whether a file is open for it, and what it asks for.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{fs, io};

/// What is assumed where neither the file system nor the device says: as large as any has.
const LARGEST: usize = 4096;

/// The alignment of memory and the alignment of offsets and lengths that direct transfers of a file
/// need, in bytes. It takes what the kernel knows, and so waits for nothing.
///
/// # Errors
///
/// The kernel's; `Unsupported` if the file has no direct transfers.
pub(crate) fn alignment(file: BorrowedFd<'_>) -> io::Result<(usize, usize)> {
    let status = status(file)?;
    if status.stx_mask & libc::STATX_DIOALIGN == 0 {
        // Before 6.1, or a file system that does not say.
        let size = logical_block_size(file, &status).unwrap_or(LARGEST);
        return Ok((size, size));
    }
    match (status.stx_dio_mem_align as usize, status.stx_dio_offset_align as usize) {
        (0, _) | (_, 0) => {
            let text = "the file system has no direct I/O for this file";
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
        known => Ok(known),
    }
}

/// Whether a file is open for direct transfers.
pub(crate) fn is_direct(file: BorrowedFd<'_>) -> bool {
    // SAFETY: the call takes no pointers.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_DIRECT != 0
}

fn status(file: BorrowedFd<'_>) -> io::Result<libc::statx> {
    let mut status = MaybeUninit::<libc::statx>::zeroed();
    // Without asking a server of a network file system.
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let wanted = libc::STATX_DIOALIGN | libc::STATX_TYPE;
    let (fd, path) = (file.as_raw_fd(), c"".as_ptr());
    // SAFETY: the path is a C string, and the call writes one `statx`.
    let result = unsafe { libc::statx(fd, path, flags, wanted, status.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all fields are integers, and zero if the call has not written them.
    Ok(unsafe { status.assume_init() })
}

/// The least that the device takes, of which the file is or on which it is.
fn logical_block_size(file: BorrowedFd<'_>, status: &libc::statx) -> Option<usize> {
    if u32::from(status.stx_mode) & libc::S_IFMT == libc::S_IFBLK {
        let mut size: libc::c_int = 0;
        // SAFETY: the call writes one int.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::BLKSSZGET, &raw mut size) };
        return usize::try_from(size).ok().filter(|&size| result == 0 && size > 0);
    }
    let device = format!("/sys/dev/block/{}:{}", status.stx_dev_major, status.stx_dev_minor);
    // A partition has the queue of its disk.
    ["queue", "../queue"].iter().find_map(|queue| {
        let size = fs::read_to_string(format!("{device}/{queue}/logical_block_size")).ok()?;
        size.trim().parse().ok().filter(|size: &usize| size.is_power_of_two())
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no statx with an alignment")]
    fn without_the_kernels_answer_the_block_size_of_the_device_serves() {
        let file = File::open("Cargo.toml").unwrap();
        let mut status = status(file.as_fd()).unwrap();
        let of_device = logical_block_size(file.as_fd(), &status);
        if let Ok((_, offset)) = alignment(file.as_fd()) {
            assert!(of_device.unwrap_or(LARGEST) % offset == 0 || offset % 512 == 0);
        }
        // A device that there is not.
        (status.stx_dev_major, status.stx_dev_minor) = (0, 0);
        assert_eq!(logical_block_size(file.as_fd(), &status), None);
        // And one that is not asked for its queue.
        status.stx_mode = libc::S_IFBLK as u16;
        assert_eq!(logical_block_size(file.as_fd(), &status), None);
    }
}
