//! The system calls that submit, wait and register.
//!
//! The `io-uring` crate's own `submit` neither uses a registered ring descriptor beyond the life
//! of one `Submitter` nor can pass every flag, so the two calls are made here.

use std::os::fd::RawFd;
use std::{io, ptr};

use io_uring::EnterFlags;
use io_uring::types::{SubmitArgs, Timespec};

const REGISTER_RING_FDS: libc::c_uint = 20;
const UNREGISTER_RING_FDS: libc::c_uint = 21;

/// `struct io_uring_rsrc_update`, as `IORING_REGISTER_RING_FDS` takes it.
#[repr(C)]
struct RegisterRingFd {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// When a wait is over.
#[derive(Clone, Copy)]
pub(super) struct Until<'a> {
    /// The number of completions to wait for.
    pub(super) completions: u32,
    /// The microseconds after which one completion is enough; zero for no such limit.
    pub(super) patience: u32,
    pub(super) timeout: Option<&'a Timespec>,
}

/// `io_uring_enter(2)`; with a timeout or patience, by the extended argument.
pub(super) fn enter(
    fd: RawFd,
    to_submit: u32,
    until: Until<'_>,
    flags: EnterFlags,
) -> io::Result<usize> {
    let Until { completions, patience, timeout } = until;
    // The extended argument costs the kernel a copy, so it is passed only when it says something.
    let args = SubmitArgs::new().min_wait_usec(patience);
    let args = match timeout {
        None if patience == 0 => return call(fd, to_submit, completions, flags, ptr::null(), 0),
        None => args,
        Some(timeout) => args.timespec(timeout),
    };
    let flags = flags | EnterFlags::EXT_ARG;
    call(fd, to_submit, completions, flags, ptr::from_ref(&args).cast(), size_of_val(&args))
}

/// `argument` is null, or points to `size` bytes of the kind that `flags` announces.
fn call(
    fd: RawFd,
    to_submit: u32,
    min_complete: u32,
    flags: EnterFlags,
    argument: *const libc::c_void,
    size: usize,
) -> io::Result<usize> {
    let number = libc::SYS_io_uring_enter;
    // SAFETY: `argument` is null or an `io_uring_getevents_arg` that lives across the call, as does
    // the timespec it points to. What the queued SQEs point to is kept by the caller of
    // `Ring::push`.
    let result =
        unsafe { libc::syscall(number, fd, to_submit, min_complete, flags.bits(), argument, size) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Registers the ring's descriptor with itself and returns the index to enter by, which saves the
/// kernel a descriptor look-up at every enter (5.18).
pub(super) fn register_ring_fd(ring: RawFd) -> io::Result<RawFd> {
    let mut update = RegisterRingFd { offset: u32::MAX, reserved: 0, data: ring as u64 };
    register_call(ring, REGISTER_RING_FDS, &mut update)?;
    Ok(update.offset as RawFd)
}

/// Gives the index back. A registered descriptor keeps its ring alive until the thread ends,
/// however many other descriptors of it are closed.
pub(super) fn unregister_ring_fd(ring: RawFd, index: RawFd) {
    let mut update = RegisterRingFd { offset: index as u32, reserved: 0, data: 0 };
    // It fails only on another thread, whose index it is not; then the ring stays.
    let _ = register_call(ring, UNREGISTER_RING_FDS, &mut update);
}

fn register_call(ring: RawFd, opcode: u32, update: &mut RegisterRingFd) -> io::Result<()> {
    let number = libc::SYS_io_uring_register;
    // SAFETY: the call reads and writes one `io_uring_rsrc_update`, which `update` is.
    match unsafe { libc::syscall(number, ring, opcode, ptr::from_mut(update), 1) } {
        1 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
