//! Receiving a message and the descriptors that come with it, from a Unix socket.
//!
//! Dropped in flight, nothing is lost: the message is kept for the next receive, and its
//! descriptors with it. If that receive cannot return descriptors, they are closed.

use std::rc::Rc;
use std::slice;

use super::socket::{Arrived, DatagramSocket};
use crate::buf::{BufResult, IoBufMut, Lease};
use crate::error::Describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::op::orphaned_fds::OrphanedFds;
use crate::op::socket::recv_fds::take_fds;
use crate::sys::address::Address;
use crate::sys::control::ReceivedControl;
use crate::sys::datagram::Envelope;
use crate::sys::passed_fds::{FdMessage, MSG_CMSG_CLOEXEC, PassedFds};
use crate::sys::socket::MSG_TRUNC;
use crate::sys::{Completion, Submission, opcode};

/// Receives one message and its descriptors. Nothing dropped receives have left comes before it.
pub(crate) struct RecvDatagramFds<B> {
    socket: Rc<DatagramSocket>,
    buffer: B,
    max_fds: usize,
    message: Box<FdMessage>,
}

impl<B: IoBufMut> RecvDatagramFds<B> {
    /// Receives at most `max_fds` descriptors; what are more are closed.
    pub(crate) fn new(socket: &Rc<DatagramSocket>, buffer: B, max_fds: usize) -> Self {
        Self { socket: Rc::clone(socket), buffer, max_fds, message: FdMessage::new() }
    }

    fn memory(&mut self) -> (*mut u8, usize) {
        let length = sqe_length(self.buffer.bytes_total()) as usize;
        (self.buffer.stable_mut_ptr(), length)
    }

    /// The message of a receive that has succeeded, and its descriptors, which have not been taken.
    fn received(&mut self, completion: Completion) -> Option<(Envelope, PassedFds)> {
        let length = completion.result().ok()? as usize;
        let is_marked = self.message.is_marked();
        // SAFETY: an operation has one completion for each submission.
        let passed = unsafe { take_fds(&mut self.message, completion) };
        // The room for a mark may have been filled with descriptors.
        let passed = OrphanedFds::new(self.socket.driver(), passed).into_passed(self.max_fds);
        let (address, control) = (Address::Unix(Box::default()), ReceivedControl::default());
        let received = length.min(self.memory().1);
        Some((Envelope { address: Some(address), length, received, control, is_marked }, passed))
    }
}

// SAFETY: the SQE points to the message header, which lives in a box. It points to the control
// messages, which live in a vector, and to the buffer's memory, which does not move with it
// (`IoBufMut`). Nothing here touches either before the completion. The kernel does not write to
// them after that (`uring-sys-tests`, freed_buffer_never_written and
// passed_descriptors_are_what_the_control_message_lists).
unsafe impl<B: IoBufMut> Operation for RecvDatagramFds<B> {
    type Output = BufResult<(Envelope, PassedFds), B>;

    fn submission(&mut self) -> Submission {
        let (start, length) = self.memory();
        self.message.set_recv_marked(start, length, self.max_fds);
        let message = self.message.as_mut_ptr();
        let flags = MSG_CMSG_CLOEXEC | MSG_TRUNC as u32;
        self.socket.submission(|fd| opcode::RecvMsg::new(fd, message).flags(flags).build())
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if self.socket.note_reset(completion) {
            return Step::Again(self);
        }
        let received = self.received(completion);
        let result = completion.result().describe("recvmsg").map(|_| {
            let (envelope, passed) = received.expect("the receive has succeeded");
            // SAFETY: the kernel has written as many bytes to the start of the buffer.
            unsafe { self.buffer.set_init(envelope.received) };
            (envelope, passed)
        });
        Step::Done(BufResult(result, self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.socket))
    }

    fn settle(mut self, completion: Completion) {
        self.socket.keep_recv_error(completion);
        let Some((envelope, passed)) = self.received(completion) else { return };
        if self.socket.is_end(&envelope) {
            return;
        }
        // Before the buffer is looked at, which is foreign code.
        self.socket.keep_fds(passed);
        let (start, _) = self.memory();
        // SAFETY: the kernel has written as many bytes there.
        let bytes = unsafe { slice::from_raw_parts(start, envelope.received) };
        self.socket.keep(Arrived { bytes: Lease::from(bytes.to_vec()), envelope });
    }
}
