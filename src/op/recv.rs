//! Receiving from a stream socket, once or until a buffer is full.
//!
//! Dropped in flight, what was received goes to the socket's unread bytes, in order, and so does an
//! error, which the kernel would not report again.

use std::io;
use std::rc::Rc;

use super::{Operation, Socket, Step, entry_length};
use crate::buf::{BufResult, IoBufMut};
use crate::driver::Driver;
use crate::error::{Describe, describe};
use crate::sys::errno::{EINTR, is_cancellation};
use crate::sys::transfer::receive;
use crate::sys::{Completion, Submission, opcode};

/// Receives what is there, at least one byte, at most the buffer's total; nothing at the end.
pub(crate) struct Recv<B> {
    socket: Rc<Socket>,
    buffer: B,
}

impl<B: IoBufMut> Recv<B> {
    pub(crate) fn new(socket: &Rc<Socket>, buffer: B) -> Self {
        Self { socket: Rc::clone(socket), buffer }
    }
}

// SAFETY: the entry points to the buffer's memory, which does not move with it (`IoBufMut`), and
// nothing here touches it before the completion.
unsafe impl<B: IoBufMut> Operation for Recv<B> {
    type Output = BufResult<usize, B>;

    fn entry(&mut self) -> Submission {
        let length = entry_length(self.buffer.bytes_total());
        let target = self.buffer.write_ptr();
        self.socket.entry(|fd| opcode::Recv::new(fd, target, length).build())
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn attempt(&mut self) -> Option<Completion> {
        let (fd, length) = (self.socket.call_fd()?, self.buffer.bytes_total());
        // SAFETY: the buffer has room for so many bytes.
        let done = unsafe { receive(fd, self.buffer.write_ptr(), length) };
        self.socket.note_attempt(done)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.has_more.set(completion.has_more());
        if is_interrupted(completion) {
            return Step::Again(self);
        }
        let result = completion.result().describe("recv").map(|count| count as usize);
        if let Ok(count) = result {
            // SAFETY: the kernel has written so many bytes.
            unsafe { self.buffer.set_init(count) };
        }
        Step::Done((result, self.buffer))
    }

    fn leave(&mut self) {
        self.socket.reading.begin();
    }

    fn settle(mut self, completion: Completion) {
        settle(&self.socket, &mut self.buffer, 0, completion);
    }
}

/// Receives until the buffer is full, or until the end comes too early.
pub(crate) struct RecvExact<B> {
    socket: Rc<Socket>,
    buffer: B,
    filled: usize,
}

impl<B: IoBufMut> RecvExact<B> {
    /// The first `filled` bytes are there already.
    pub(crate) fn new(socket: &Rc<Socket>, buffer: B, filled: usize) -> Self {
        Self { socket: Rc::clone(socket), buffer, filled }
    }
}

// SAFETY: as for `Recv`.
unsafe impl<B: IoBufMut> Operation for RecvExact<B> {
    type Output = BufResult<(), B>;

    fn entry(&mut self) -> Submission {
        let length = entry_length(self.buffer.bytes_total() - self.filled);
        // SAFETY: `filled` is at most the buffer's total.
        let target = unsafe { self.buffer.write_ptr().add(self.filled) };
        // Not with MSG_WAITALL: if the connection is reset after some bytes, the kernel then reports
        // the bytes, forgets the error, and the next receive looks like the end of the stream.
        self.socket.entry(|fd| opcode::Recv::new(fd, target, length).build())
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn attempt(&mut self) -> Option<Completion> {
        let (fd, length) = (self.socket.call_fd()?, self.buffer.bytes_total() - self.filled);
        // SAFETY: `filled` is at most the buffer's total, so there is room for so many bytes.
        let done = unsafe {
            let target = self.buffer.write_ptr().add(self.filled);
            receive(fd, target, length)
        };
        self.socket.note_attempt(done)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.has_more.set(completion.has_more());
        if is_interrupted(completion) {
            return Step::Again(self);
        }
        let count = match completion.result() {
            Ok(count) => count as usize,
            Err(error) => return Step::Done((Err(describe("recv", error)), self.buffer)),
        };
        self.filled += count;
        // SAFETY: so many bytes were there, or have been written by the kernel.
        unsafe { self.buffer.set_init(self.filled) };
        if self.filled == self.buffer.bytes_total() {
            Step::Done((Ok(()), self.buffer))
        } else if count == 0 {
            let early = io::Error::from(io::ErrorKind::UnexpectedEof);
            Step::Done((Err(describe("recv", early)), self.buffer))
        } else {
            Step::Again(self)
        }
    }

    fn leave(&mut self) {
        self.socket.reading.begin();
    }

    fn settle(mut self, completion: Completion) {
        settle(&self.socket, &mut self.buffer, self.filled, completion);
    }
}

/// A signal can interrupt an operation on a kernel worker; the operation has done nothing then.
pub(super) fn is_interrupted(completion: Completion) -> bool {
    completion.failed_with(EINTR)
}

/// Keeps the error that a dropped operation met. Cancelled and interrupted ones have met none.
pub(super) fn keep_error(socket: &Socket, completion: Completion) {
    if let Some(error) = completion.result().err().filter(|error| !is_cancellation(error)) {
        socket.put_back_error(describe("recv", error));
    }
}

/// Gives what a dropped receive brought back to the socket: the `filled` bytes of its earlier
/// steps, and those of its last.
fn settle(socket: &Socket, buffer: &mut impl IoBufMut, filled: usize, completion: Completion) {
    keep_error(socket, completion);
    let count = completion.result().map_or(0, |count| count as usize);
    // SAFETY: so many bytes were filled before, or have been written by the kernel.
    unsafe { buffer.set_init(filled + count) };
    socket.put_back(&buffer.as_bytes()[..filled + count]);
    socket.reading.end();
}
