//! Sending and receiving by system calls that never wait, for operations that need no ring.

use std::os::fd::RawFd;

use crate::sys::Completion;
use crate::sys::errno::unless_interrupted;
use crate::sys::message::MessageHeader;
use crate::sys::passed_fds::FdMessage;

/// Receives what is there, at most `length` bytes. `None` if the call would have to wait. If it
/// fills the memory, the completion says that there may be more.
///
/// # Safety
///
/// `target` is valid for writes of `length` bytes.
pub(crate) unsafe fn receive(fd: RawFd, target: *mut u8, length: usize) -> Option<Completion> {
    // SAFETY: passed on by the caller.
    let receive = || unsafe { libc::recv(fd, target.cast(), length, libc::MSG_DONTWAIT) };
    unless_it_waits(match unless_interrupted(receive) {
        Ok(count) => Completion::of_call(count as i32, count == length),
        Err(errno) => Completion::failed(errno),
    })
}

/// How many bytes a socket has to be received; zero if it does not say.
pub(crate) fn available(fd: RawFd) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the call writes one integer.
    let result = unsafe { libc::ioctl(fd, libc::FIONREAD, &mut count) };
    if result == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
}

/// Sends as much as the socket takes of `length` bytes. Fails with `EAGAIN` if it takes none.
///
/// # Safety
///
/// `source` is valid for reads of `length` bytes.
pub(crate) unsafe fn send(fd: RawFd, source: *const u8, length: usize) -> Completion {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: passed on by the caller.
    outcome(|| unsafe { libc::send(fd, source.cast(), length, flags) })
}

/// Sends as much as the socket takes of a message. Fails with `EAGAIN` if it takes none.
///
/// # Safety
///
/// The message's segments are valid for reads.
pub(crate) unsafe fn send_message(fd: RawFd, message: &MessageHeader) -> Completion {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: passed on by the caller.
    outcome(|| unsafe { libc::sendmsg(fd, message.as_ptr(), flags) })
}

/// Sends as much as the socket takes of a message with descriptors. Fails with `EAGAIN` if it takes
/// none.
///
/// # Safety
///
/// The message's segment is valid for reads.
pub(crate) unsafe fn send_fds(fd: RawFd, message: &FdMessage) -> Completion {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: passed on by the caller.
    outcome(|| unsafe { libc::sendmsg(fd, message.as_ptr(), flags) })
}

/// Makes a call that never waits, and tells what it has done.
pub(super) fn outcome(call: impl FnMut() -> isize) -> Completion {
    match unless_interrupted(call) {
        Ok(result) => Completion::of_call(result as i32, false),
        Err(errno) => Completion::failed(errno),
    }
}

/// `None` if the call would have had to wait.
pub(super) fn unless_it_waits(outcome: Completion) -> Option<Completion> {
    (!outcome.failed_with(libc::EAGAIN)).then_some(outcome)
}
