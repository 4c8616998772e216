//! Polls of a descriptor: what is ready now.

use std::os::fd::RawFd;

use super::call::Call;
use crate::sys::errno::{EBADF, unless_interrupted};
use crate::sys::poll::{BROKEN, PEER_ENDED};

/// `IORING_POLL_ADD_MULTI`.
const POLL_MULTISHOT: u32 = 1;

/// Whether a poll goes on after it has reported.
pub(super) fn is_multishot(call: &Call) -> bool {
    call.sqe.length() & POLL_MULTISHOT != 0
}

/// What a poll reports: what it asks for, and the ends (`uring-sys-tests`,
/// polls_for_room_report_room).
pub(super) fn wanted(call: &Call) -> u32 {
    call.sqe.op_flags() | BROKEN | PEER_ENDED
}

/// What of that is there now.
pub(super) fn poll_now(fd: RawFd, events: u32) -> Result<u32, i32> {
    let mut poll = libc::pollfd { fd, events: events as i16, revents: 0 };
    // SAFETY: the call reads and writes one `pollfd`.
    unless_interrupted(|| unsafe { libc::poll(&mut poll, 1, 0) } as isize)?;
    let ready = u32::from(poll.revents as u16);
    if ready & libc::POLLNVAL as u32 != 0 || fd < 0 { Err(EBADF) } else { Ok(ready & events) }
}
