//! What a send sends: one buffer, or several as one stretch of bytes.

use std::os::fd::RawFd;

use super::{Socket, entry_length};
use crate::buf::IoBuf;
use crate::sys::message::MessageHeader;
use crate::sys::nonblocking::{send, send_message};
use crate::sys::socket::{MSG_DONTWAIT, MSG_NOSIGNAL};
use crate::sys::{Completion, Submission, opcode};

/// The flags of every send.
pub(super) const AT_ONCE: i32 = MSG_NOSIGNAL | MSG_DONTWAIT;

/// Bytes to send, in steps.
///
/// # Safety
///
/// What an entry points to is owned by the payload, does not move with it, and is not touched before
/// the entry's completion.
pub(crate) unsafe trait Payload: 'static {
    /// What goes back to the caller.
    type Given;

    /// The name of the call, for errors.
    const DOING: &'static str;

    /// The entry that sends what is left, as much as fits.
    fn entry(&mut self, socket: &Socket) -> Submission;

    /// Does the same by a system call; `EAGAIN` if there is no room.
    fn send(&mut self, fd: RawFd) -> Completion;

    /// How many bytes the step in hand is to send, at most.
    fn asked(&self) -> usize;

    /// So many bytes have been sent.
    fn advance(&mut self, count: usize);

    /// Whether nothing is left.
    fn is_sent(&self) -> bool;

    fn give_back(self, socket: &Socket) -> Self::Given;
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

    fn source(&self) -> *const u8 {
        // SAFETY: `sent` is at most the number of initialised bytes.
        unsafe { self.buffer.stable_ptr().add(self.sent) }
    }
}

// SAFETY: the entry points to the buffer's memory, which does not move with it (`IoBuf`), and which
// nothing here changes.
unsafe impl<B: IoBuf> Payload for One<B> {
    type Given = B;

    const DOING: &'static str = "send";

    fn entry(&mut self, socket: &Socket) -> Submission {
        let (source, length) = (self.source(), entry_length(self.buffer.bytes_init() - self.sent));
        socket.entry(|fd| opcode::Send::new(fd, source, length).flags(AT_ONCE).build())
    }

    fn send(&mut self, fd: RawFd) -> Completion {
        // SAFETY: so many bytes are there behind those that have been sent.
        unsafe { send(fd, self.source(), self.asked()) }
    }

    fn asked(&self) -> usize {
        entry_length(self.buffer.bytes_init() - self.sent) as usize
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
    }

    fn is_sent(&self) -> bool {
        self.sent == self.buffer.bytes_init()
    }

    fn give_back(self, _socket: &Socket) -> B {
        self.buffer
    }
}

/// The most segments that the kernel takes at once (`UIO_MAXIOV`).
const MOST_SEGMENTS: usize = 1024;

/// Several buffers.
pub(crate) struct Several<B> {
    buffers: Vec<B>,
    message: Box<MessageHeader>,
    /// The buffer to go on with, and how much of it has been sent.
    next: usize,
    sent_of_next: usize,
    /// How many bytes are left in all, and how many the step in hand is to send.
    left: usize,
    asked: usize,
}

impl<B: IoBuf> Several<B> {
    pub(crate) fn new(buffers: Vec<B>, socket: &Socket) -> Self {
        let left = buffers.iter().map(IoBuf::bytes_init).fold(0, usize::saturating_add);
        Self { buffers, message: socket.message(), next: 0, sent_of_next: 0, left, asked: 0 }
    }

    /// Points the message to what is left, without the empty ones.
    fn set_segments(&mut self) {
        let mut skip = self.sent_of_next;
        let parts = self.buffers[self.next..].iter().map(|buffer| {
            let skipped = std::mem::take(&mut skip);
            // SAFETY: no more of a buffer has been sent than it has.
            (unsafe { buffer.stable_ptr().add(skipped) }, buffer.bytes_init() - skipped)
        });
        let parts = parts.filter(|&(_, length)| length > 0).take(MOST_SEGMENTS);
        self.asked = entry_length(self.message.set_segments(parts)) as usize;
    }
}

// SAFETY: the entry points to the message header, which stands in a box, and that to the buffers'
// memory, which does not move with them.
unsafe impl<B: IoBuf> Payload for Several<B> {
    type Given = Vec<B>;

    const DOING: &'static str = "sendmsg";

    fn entry(&mut self, socket: &Socket) -> Submission {
        self.set_segments();
        let (message, flags) = (self.message.as_ptr(), AT_ONCE as u32);
        socket.entry(|fd| opcode::SendMsg::new(fd, message).flags(flags).build())
    }

    fn send(&mut self, fd: RawFd) -> Completion {
        self.set_segments();
        // SAFETY: the segments are the buffers'.
        unsafe { send_message(fd, &self.message) }
    }

    fn asked(&self) -> usize {
        self.asked
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

    fn give_back(self, socket: &Socket) -> Vec<B> {
        socket.keep_message(self.message);
        self.buffers
    }
}
