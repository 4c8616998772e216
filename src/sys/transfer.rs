//! Sending and receiving by system calls that never wait, for operations that need no ring.

use std::io;
use std::os::fd::RawFd;

use super::Completion;
use super::memory::MessageHeader;

/// Receives what is there, at most `length` bytes. `None` if the call would have to wait. If it
/// fills the memory, the completion says that there may be more.
///
/// # Safety
///
/// `target` is valid for writes of `length` bytes.
pub(crate) unsafe fn receive(fd: RawFd, target: *mut u8, length: usize) -> Option<Completion> {
    // SAFETY: passed on by the caller.
    let result = unsafe { libc::recv(fd, target.cast(), length, libc::MSG_DONTWAIT) };
    received(result, result.unsigned_abs() == length)
}

/// Sends as much as the socket takes of `length` bytes. `None` if the call would have to wait.
///
/// # Safety
///
/// `source` is valid for reads of `length` bytes.
pub(crate) unsafe fn send(fd: RawFd, source: *const u8, length: usize) -> Option<Completion> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: passed on by the caller.
    completion(unsafe { libc::send(fd, source.cast(), length, flags) })
}

/// Sends as much as the socket takes of a message. `None` if the call would have to wait.
///
/// # Safety
///
/// The message's segments are valid for reads.
pub(crate) unsafe fn send_message(fd: RawFd, message: &MessageHeader) -> Option<Completion> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: passed on by the caller.
    completion(unsafe { libc::sendmsg(fd, message.as_ptr(), flags) })
}

/// What a call that never waits has done; `None` if it would have had to.
pub(super) fn completion(result: isize) -> Option<Completion> {
    received(result, false)
}

fn received(result: isize, more: bool) -> Option<Completion> {
    if result >= 0 {
        return Some(Completion::of_call(result as i32, more));
    }
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    (errno != libc::EAGAIN).then(|| Completion::failed(errno))
}
