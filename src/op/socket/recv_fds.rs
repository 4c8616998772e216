//! Receiving bytes and the descriptors that come with them, from a Unix stream socket.
//!
//! Dropped in flight, nothing is lost: the bytes go to the socket's unread bytes, and the
//! descriptors with them. If the next read cannot return descriptors, they are closed, as the
//! kernel closes those that a plain read meets.

use std::rc::Rc;
use std::slice;

use super::stream::StreamSocket;
use crate::buf::{BufResult, IoBufMut};
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::op::orphaned_fds::OrphanedFds;
use crate::sys::passed_fds::{FdMessage, MSG_CMSG_CLOEXEC, PassedFds};
use crate::sys::{Completion, Submission, opcode};

/// Receives available bytes and the descriptors that came with them; none at EOF.
pub(crate) struct RecvFds<B> {
    socket: Rc<StreamSocket>,
    buffer: B,
    max_fds: usize,
    message: Box<FdMessage>,
}

impl<B: IoBufMut> RecvFds<B> {
    /// Receives at most `max_fds` descriptors; the kernel closes what are more.
    pub(crate) fn new(socket: &Rc<StreamSocket>, buffer: B, max_fds: usize) -> Self {
        Self { socket: Rc::clone(socket), buffer, max_fds, message: FdMessage::new() }
    }
}

// SAFETY: the SQE points to the message header, which lives in a box. It points to the control
// messages, which live in a vector, and to the buffer's memory, which does not move with it
// (`IoBufMut`). Nothing here touches either before the completion. The kernel does not write to
// them after that (`uring-sys-tests`, freed_buffer_never_written and
// passed_descriptors_are_what_the_control_message_lists).
unsafe impl<B: IoBufMut> Operation for RecvFds<B> {
    type Output = BufResult<(usize, PassedFds), B>;

    fn submission(&mut self) -> Submission {
        let length = sqe_length(self.buffer.bytes_total()) as usize;
        self.message.set_recv(self.buffer.stable_mut_ptr(), length, self.max_fds);
        let message = self.message.as_mut_ptr();
        self.socket
            .submission(|fd| opcode::RecvMsg::new(fd, message).flags(MSG_CMSG_CLOEXEC).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        // SAFETY: an operation has one completion for each submission.
        let fds = unsafe { take_fds(&mut self.message, completion) };
        let result = self.socket.received(completion, "recvmsg");
        if let Ok(count) = result {
            // SAFETY: the kernel has written `count` bytes to the start of the buffer.
            unsafe { self.buffer.set_init(count) };
        }
        Step::Done(BufResult(result.map(|count| (count, fds)), self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.socket))
    }

    fn settle(mut self, completion: Completion) {
        // Before the buffer is looked at, which is foreign code.
        // SAFETY: as above.
        let passed = unsafe { take_fds(&mut self.message, completion) };
        if !passed.fds.is_empty() || passed.is_truncated {
            self.socket.put_back_fds(OrphanedFds::new(self.socket.driver(), passed));
        }
        let count = completion.result().map_or(0, |count| count as usize);
        // SAFETY: the kernel has written `count` bytes to the start of the buffer.
        let bytes = unsafe { slice::from_raw_parts(self.buffer.stable_mut_ptr(), count) };
        self.socket.put_back(bytes, completion);
    }
}

/// The descriptors of a receive by this message, which has none if it has failed.
///
/// # Safety
///
/// The completion is that of the message's last receive, and is passed here once.
pub(super) unsafe fn take_fds(message: &mut FdMessage, completion: Completion) -> PassedFds {
    if completion.result().is_err() {
        return PassedFds::default();
    }
    // SAFETY: passed on by the caller.
    unsafe { message.take_received() }
}
