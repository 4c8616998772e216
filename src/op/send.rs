//! Sending on a stream socket: what fits, all of a buffer, or several buffers.
//!
//! Dropped in flight, a send may have sent a part. Nobody learns how much; the next send on the
//! socket waits for the end of the dropped one before it begins.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::recv::is_interrupted;
use super::{Operation, Socket, Step, entry_length};
use crate::buf::{BufResult, IoBuf};
use crate::driver::Driver;
use crate::error::{Describe, describe};
use crate::sys::memory::MessageHeader;
use crate::sys::socket::{MSG_NOSIGNAL, MSG_WAITALL};
use crate::sys::transfer::{send, send_message};
use crate::sys::{Completion, Submission, opcode};

/// Sends as much as the socket takes, at least one byte.
pub(crate) struct SendOnce<B> {
    socket: Rc<Socket>,
    buffer: B,
}

impl<B: IoBuf> SendOnce<B> {
    pub(crate) fn new(socket: &Rc<Socket>, buffer: B) -> Self {
        Self { socket: Rc::clone(socket), buffer }
    }
}

// SAFETY: the entry points to the buffer's memory, which does not move with it (`IoBuf`), and which
// nothing here changes.
unsafe impl<B: IoBuf> Operation for SendOnce<B> {
    type Output = BufResult<usize, B>;

    fn poll_before(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.socket.poll_writes_ended(context).map(|()| None)
    }

    fn entry(&mut self) -> Submission {
        let length = entry_length(self.buffer.bytes_init());
        let source = self.buffer.read_ptr();
        self.socket.entry(|fd| opcode::Send::new(fd, source, length).flags(MSG_NOSIGNAL).build())
    }

    fn is_worth_attempting(&self, driver: &Driver) -> bool {
        self.socket.prefers_direct_sends(driver)
    }

    fn attempt(&mut self) -> Option<Completion> {
        let (fd, length) = (self.socket.call_fd()?, self.buffer.bytes_init());
        // SAFETY: the buffer has so many bytes.
        unsafe { send(fd, self.buffer.read_ptr(), length) }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        if is_interrupted(completion) {
            return Step::Again(self);
        }
        let result = completion.result().describe("send").map(|count| count as usize);
        Step::Done((result, self.buffer))
    }

    fn leave(&mut self) {
        self.socket.writing.begin();
    }

    fn settle(self, _completion: Completion) {
        self.socket.writing.end();
    }
}

/// Sends all of a buffer.
pub(crate) struct SendAll<B> {
    socket: Rc<Socket>,
    buffer: B,
    sent: usize,
}

impl<B: IoBuf> SendAll<B> {
    pub(crate) fn new(socket: &Rc<Socket>, buffer: B) -> Self {
        Self { socket: Rc::clone(socket), buffer, sent: 0 }
    }
}

// SAFETY: as for `SendOnce`.
unsafe impl<B: IoBuf> Operation for SendAll<B> {
    type Output = BufResult<(), B>;

    fn poll_before(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.socket.poll_writes_ended(context).map(|()| None)
    }

    fn entry(&mut self) -> Submission {
        let length = entry_length(self.buffer.bytes_init() - self.sent);
        // SAFETY: `sent` is at most the number of initialised bytes.
        let source = unsafe { self.buffer.read_ptr().add(self.sent) };
        // The kernel goes on by itself until all is sent.
        let flags = MSG_NOSIGNAL | MSG_WAITALL;
        self.socket.entry(|fd| opcode::Send::new(fd, source, length).flags(flags).build())
    }

    fn is_worth_attempting(&self, driver: &Driver) -> bool {
        self.socket.prefers_direct_sends(driver)
    }

    fn attempt(&mut self) -> Option<Completion> {
        let (fd, length) = (self.socket.call_fd()?, self.buffer.bytes_init() - self.sent);
        // SAFETY: `sent` is at most the number of initialised bytes.
        unsafe {
            let source = self.buffer.read_ptr().add(self.sent);
            send(fd, source, length)
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if is_interrupted(completion) {
            return Step::Again(self);
        }
        match completion.result() {
            Ok(count) => self.sent += count as usize,
            Err(error) => return Step::Done((Err(describe("send", error)), self.buffer)),
        }
        if self.sent < self.buffer.bytes_init() {
            Step::Again(self)
        } else {
            Step::Done((Ok(()), self.buffer))
        }
    }

    fn leave(&mut self) {
        self.socket.writing.begin();
    }

    fn settle(self, _completion: Completion) {
        self.socket.writing.end();
    }
}

/// Sends several buffers as one stretch of bytes, as much as the socket takes.
pub(crate) struct SendVectored<B> {
    socket: Rc<Socket>,
    buffers: Vec<B>,
    message: Box<MessageHeader>,
}

impl<B: IoBuf> SendVectored<B> {
    pub(crate) fn new(socket: &Rc<Socket>, buffers: Vec<B>) -> Self {
        Self { socket: Rc::clone(socket), buffers, message: socket.message() }
    }

    fn set_segments(&mut self) {
        let segments = self.buffers.iter().map(|buffer| (buffer.read_ptr(), buffer.bytes_init()));
        self.message.set_segments(segments);
    }
}

// SAFETY: the entry points to the message header, which stands in a box, and that to the buffers'
// memory, which does not move with them.
unsafe impl<B: IoBuf> Operation for SendVectored<B> {
    type Output = BufResult<usize, Vec<B>>;

    fn poll_before(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        self.socket.poll_writes_ended(context).map(|()| None)
    }

    fn entry(&mut self) -> Submission {
        self.set_segments();
        let (message, flags) = (self.message.as_ptr(), MSG_NOSIGNAL as u32);
        self.socket.entry(|fd| opcode::SendMsg::new(fd, message).flags(flags).build())
    }

    fn is_worth_attempting(&self, driver: &Driver) -> bool {
        self.socket.prefers_direct_sends(driver)
    }

    fn attempt(&mut self) -> Option<Completion> {
        let fd = self.socket.call_fd()?;
        self.set_segments();
        // SAFETY: the segments are the buffers'.
        unsafe { send_message(fd, &self.message) }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        if is_interrupted(completion) {
            return Step::Again(self);
        }
        self.socket.keep_message(self.message);
        let result = completion.result().describe("sendmsg").map(|count| count as usize);
        Step::Done((result, self.buffers))
    }

    fn leave(&mut self) {
        self.socket.writing.begin();
    }

    fn settle(self, _completion: Completion) {
        self.socket.writing.end();
    }
}
