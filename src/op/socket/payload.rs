//! What a send sends: one buffer, or several one after the other.

use std::os::fd::RawFd;

use super::stream::StreamSocket;
use crate::buf::IoBuf;
use crate::op::operation::sqe_length;
use crate::sys::message::MessageHeader;
use crate::sys::nonblocking::{send, send_message};
use crate::sys::socket::{MSG_DONTWAIT, MSG_NOSIGNAL};
use crate::sys::{Completion, Submission, opcode};

/// The flags of every send: it never waits, and raises no signal.
pub(super) const SEND_FLAGS: i32 = MSG_NOSIGNAL | MSG_DONTWAIT;

/// Bytes to send, in steps.
///
/// # Safety
///
/// What an SQE points to is owned by the payload, does not move with it, and is not touched before
/// the completion.
pub(crate) unsafe trait Payload: 'static {
    /// What is returned to the caller.
    type Buffers;

    /// The name of the system call, for errors.
    const CALL: &'static str;

    /// The SQE that sends what is left, as much as fits.
    fn submission(&mut self, socket: &StreamSocket) -> Submission;

    /// Does the same by an inline call; `EAGAIN` if there is no room.
    fn send(&mut self, fd: RawFd) -> Completion;

    /// How many bytes the current step is to send, at most.
    fn step_length(&self) -> usize;

    /// Notes that `count` bytes have been sent.
    fn advance(&mut self, count: usize);

    /// Whether nothing is left.
    fn is_sent(&self) -> bool;

    fn into_buffers(self, socket: &StreamSocket) -> Self::Buffers;
}

/// One buffer.
pub(crate) struct One<B> {
    buffer: B,
    sent: usize,
}

impl<B: IoBuf> One<B> {
    pub(crate) fn new(buffer: B) -> Self {
        Self { buffer, sent: 0 }
    }

    pub(super) fn source(&self) -> *const u8 {
        // SAFETY: `sent` is at most the number of initialised bytes.
        unsafe { self.buffer.stable_ptr().add(self.sent) }
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBuf`), and which
// nothing here changes.
unsafe impl<B: IoBuf> Payload for One<B> {
    type Buffers = B;

    const CALL: &'static str = "send";

    fn submission(&mut self, socket: &StreamSocket) -> Submission {
        let (source, length) = (self.source(), sqe_length(self.buffer.bytes_init() - self.sent));
        socket.submission(|fd| opcode::Send::new(fd, source, length).flags(SEND_FLAGS).build())
    }

    fn send(&mut self, fd: RawFd) -> Completion {
        // SAFETY: `step_length` bytes are initialised behind those that have been sent.
        unsafe { send(fd, self.source(), self.step_length()) }
    }

    fn step_length(&self) -> usize {
        sqe_length(self.buffer.bytes_init() - self.sent) as usize
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
    }

    fn is_sent(&self) -> bool {
        self.sent == self.buffer.bytes_init()
    }

    fn into_buffers(self, _socket: &StreamSocket) -> B {
        self.buffer
    }
}

/// Several buffers.
pub(crate) struct Several<B> {
    buffers: Vec<B>,
    message: Box<MessageHeader>,
    /// The buffer to go on with, and how much of it has been sent.
    next: usize,
    sent_of_next: usize,
    /// How many bytes are left in all, and how many the current step is to send.
    left: usize,
    step_length: usize,
}

impl<B: IoBuf> Several<B> {
    pub(crate) fn new(buffers: Vec<B>, socket: &StreamSocket) -> Self {
        let left = buffers.iter().map(IoBuf::bytes_init).fold(0, usize::saturating_add);
        Self { buffers, message: socket.message(), next: 0, sent_of_next: 0, left, step_length: 0 }
    }

    /// Points the message to what is left.
    fn set_segments(&mut self) {
        let mut skip = self.sent_of_next;
        let parts = self.buffers[self.next..].iter().map(|buffer| {
            let skipped = std::mem::take(&mut skip);
            // SAFETY: no more of a buffer has been sent than it has.
            (unsafe { buffer.stable_ptr().add(skipped) }, buffer.bytes_init() - skipped)
        });
        self.step_length = sqe_length(self.message.set_segments(parts)) as usize;
    }
}

// SAFETY: the SQE points to the message header, which lives in a box, and that to the buffers'
// memory, which does not move with them. The kernel reads the header at submission
// (`uring-sys-tests`, sendmsg_header_read_at_submit), and the bytes before the completion.
unsafe impl<B: IoBuf> Payload for Several<B> {
    type Buffers = Vec<B>;

    const CALL: &'static str = "sendmsg";

    fn submission(&mut self, socket: &StreamSocket) -> Submission {
        self.set_segments();
        let (message, flags) = (self.message.as_ptr(), SEND_FLAGS as u32);
        socket.submission(|fd| opcode::SendMsg::new(fd, message).flags(flags).build())
    }

    fn send(&mut self, fd: RawFd) -> Completion {
        self.set_segments();
        // SAFETY: the segments are the buffers'.
        unsafe { send_message(fd, &self.message) }
    }

    fn step_length(&self) -> usize {
        self.step_length
    }

    fn advance(&mut self, count: usize) {
        self.left = self.left.saturating_sub(count);
        let mut sent = self.sent_of_next + count;
        while let Some(buffer) = self.buffers.get(self.next) {
            let Some(behind) = sent.checked_sub(buffer.bytes_init()) else { break };
            (self.next, sent) = (self.next + 1, behind);
        }
        self.sent_of_next = sent;
    }

    fn is_sent(&self) -> bool {
        self.left == 0
    }

    fn into_buffers(self, socket: &StreamSocket) -> Vec<B> {
        socket.keep_message(self.message);
        self.buffers
    }
}
