//! The system calls and constants that the `io-uring` crate has no typed form for.

use std::ffi::c_void;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// `IORING_REGISTER_SEND_MSG_RING`: a ring message from a thread that has no ring.
pub const REGISTER_SEND_MSG_RING: u32 = 31;
/// `IORING_REGISTER_ENABLE_RINGS`, for restrictions.
pub const REGISTER_ENABLE_RINGS: u32 = 12;

/// The byte offset of `optlen` in an SQE.
pub const SQE_OPTLEN: usize = 44;

/// `struct io_uring_params` as words: the flags are word 2, all else stays zero.
const PARAMS_WORDS: usize = 30;
const PARAMS_FLAGS: usize = 2;

/// The result of a system call, or its errno.
pub fn checked(result: libc::c_long) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Owns the descriptor that a system call or a completion has just yielded.
///
/// # Panics
///
/// When `fd` is no descriptor.
pub fn owned(fd: u32) -> OwnedFd {
    let fd = RawFd::try_from(fd).expect("a descriptor fits RawFd");
    // SAFETY: fresh from the kernel, so no other value owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `io_uring_setup(2)` with exactly these flags.
pub fn setup(entries: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut params = [0_u32; PARAMS_WORDS];
    params[PARAMS_FLAGS] = flags;
    // SAFETY: `params` has the size of `struct io_uring_params`, which the call reads and fills.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params.as_mut_ptr()) };
    Ok(owned(checked(fd)?))
}

/// `io_uring_register(2)`.
///
/// # Safety
///
/// `arg` must be what `opcode` asks for, for as long as it asks.
pub unsafe fn register(fd: RawFd, opcode: u32, arg: *const c_void, count: u32) -> io::Result<u32> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::syscall(libc::SYS_io_uring_register, fd, opcode, arg, count) })
}

/// `io_uring_enter(2)` without an argument, on a descriptor or a registered index.
pub fn enter(fd: RawFd, to_submit: u32, min_complete: u32, flags: u32) -> io::Result<u32> {
    let none = std::ptr::null::<c_void>();
    // SAFETY: no argument is passed; the SQEs that it may submit are those of an owned ring.
    let entered = unsafe {
        libc::syscall(libc::SYS_io_uring_enter, fd, to_submit, min_complete, flags, none, 0_usize)
    };
    checked(entered)
}
