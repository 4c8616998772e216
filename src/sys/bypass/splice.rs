//! Moving and duplicating what pipes hold: its pages pass from one to the other, and are not
//! copied. None of these calls waits for a pipe.

use std::os::fd::RawFd;
use std::ptr;

use super::no_sigpipe::NoSigpipe;
use super::nonblocking::{outcome, unless_it_waits};
use super::page_cache::is_cached;
use crate::sys::Completion;

/// The flag of a splice that does not wait for a pipe, whether that blocks or not.
pub(crate) const NO_WAIT: u32 = libc::SPLICE_F_NONBLOCK;

/// What becomes of the bytes in the pipe that they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// They are taken out: splice(2).
    Move,
    /// They stay: tee(2).
    Duplicate,
}

/// Transfers at most `length` bytes, fewer than 2 GiB, from a pipe to another. `None` if the one is
/// empty or the other full.
pub(crate) fn transfer_now(
    transfer: Transfer,
    from: RawFd,
    to: RawFd,
    length: usize,
) -> Option<Completion> {
    let _no_signal = NoSigpipe::new();
    let none = ptr::null_mut();
    // SAFETY: without offsets the calls take no pointers.
    unless_it_waits(outcome(|| unsafe {
        match transfer {
            Transfer::Move => libc::splice(from, none, to, none, length, NO_WAIT),
            Transfer::Duplicate => libc::tee(from, to, length, NO_WAIT),
        }
    }))
}

/// Moves bytes of a file into a pipe, if they are in memory. Fails with `EAGAIN` if the pipe has no
/// room. `None` if the call would have to wait for a disk, or may have to. (What is thrown out of
/// memory at this very moment is waited for.)
pub(crate) fn splice_cached(
    file: RawFd,
    offset: u64,
    pipe: RawFd,
    length: u32,
) -> Option<Completion> {
    let mut from = i64::try_from(offset).ok()?;
    if !is_cached(file, offset, length.into()) {
        return None;
    }
    let _no_signal = NoSigpipe::new();
    // SAFETY: the call reads and writes the offset.
    Some(outcome(|| unsafe {
        libc::splice(file, &raw mut from, pipe, ptr::null_mut(), length as usize, NO_WAIT)
    }))
}
