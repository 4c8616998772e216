//! Receiving from a stream socket, once or until a buffer is full.
//!
//! Dropped in flight, what was received goes to the socket's unread bytes, in order, and so does an
//! error, which the kernel would not report again, and the end of the stream.

use std::rc::Rc;
use std::{io, slice};

use super::ending::Leaving;
use super::{Operation, Socket, Step, entry_length};
use crate::buf::{BufResult, IoBufMut};
use crate::driver::Driver;
use crate::error::describe;
use crate::sys::nonblocking::receive;
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
        let target = self.buffer.stable_mut_ptr();
        self.socket.entry(|fd| opcode::Recv::new(fd, target, length).build())
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn attempt(&mut self) -> Option<Completion> {
        let (fd, length) = (self.socket.call_fd()?, self.buffer.bytes_total());
        // SAFETY: the buffer has room for so many bytes.
        let done = unsafe { receive(fd, self.buffer.stable_mut_ptr(), length) };
        self.socket.note_attempt(done)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.has_more.set(completion.has_more());
        let result = self.socket.received(completion, "recv");
        if let Ok(count) = result {
            // SAFETY: the kernel has written so many bytes.
            unsafe { self.buffer.set_init(count) };
        }
        Step::Done(BufResult(result, self.buffer))
    }

    fn leaving(&self) -> Option<Leaving> {
        Some(Leaving::reading(&self.socket))
    }

    fn settle(mut self, completion: Completion) {
        settle(&self.socket, &mut self.buffer, 0, 0, completion);
    }
}

/// Receives until the buffer is full, or until the end comes too early.
pub(crate) struct RecvExact<B> {
    socket: Rc<Socket>,
    buffer: B,
    /// How many unread bytes of the socket the buffer begins with. They are moved there at the end, so that
    /// what is dropped again and again does not move them to and fro.
    unread: usize,
    /// How many bytes have been received behind them.
    filled: usize,
}

impl<B: IoBufMut> RecvExact<B> {
    /// The buffer begins with the socket's unread bytes, and has room for more.
    pub(crate) fn new(socket: &Rc<Socket>, buffer: B) -> Self {
        Self { socket: Rc::clone(socket), buffer, unread: socket.unread_bytes(), filled: 0 }
    }

    /// Where the next bytes go, and how many.
    fn target(&mut self) -> (*mut u8, usize) {
        let begin = self.unread + self.filled;
        // SAFETY: the bytes before are at most the buffer's total.
        (unsafe { self.buffer.stable_mut_ptr().add(begin) }, self.buffer.bytes_total() - begin)
    }

    /// Makes the buffer whole, as far as it goes.
    fn finish(mut self, result: io::Result<()>) -> Step<Self> {
        let unread = self.socket.take_unread(&mut self.buffer);
        debug_assert_eq!(unread, self.unread, "nobody else has read");
        // SAFETY: so many bytes were unread and have just been moved, and so many have been received.
        unsafe { self.buffer.set_init(self.unread + self.filled) };
        Step::Done(BufResult(result, self.buffer))
    }
}

// SAFETY: as for `Recv`.
unsafe impl<B: IoBufMut> Operation for RecvExact<B> {
    type Output = BufResult<(), B>;

    fn entry(&mut self) -> Submission {
        let (target, length) = self.target();
        // Not with MSG_WAITALL: if the connection is reset after some bytes, the kernel then reports
        // the bytes, forgets the error, and the next receive looks like the end of the stream.
        self.socket.entry(|fd| opcode::Recv::new(fd, target, entry_length(length)).build())
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn attempt(&mut self) -> Option<Completion> {
        let (fd, (target, length)) = (self.socket.call_fd()?, self.target());
        // SAFETY: there is room for so many bytes.
        let done = unsafe { receive(fd, target, length) };
        self.socket.note_attempt(done)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.has_more.set(completion.has_more());
        match self.socket.received(completion, "recv") {
            Err(error) => return self.finish(Err(error)),
            Ok(0) => {
                let early = io::Error::from(io::ErrorKind::UnexpectedEof);
                return self.finish(Err(describe("recv", early)));
            }
            Ok(count) => self.filled += count,
        }
        if self.target().1 == 0 { self.finish(Ok(())) } else { Step::Again(self) }
    }

    fn leaving(&self) -> Option<Leaving> {
        Some(Leaving::reading(&self.socket))
    }

    fn settle(mut self, completion: Completion) {
        settle(&self.socket, &mut self.buffer, self.unread, self.filled, completion);
    }
}

/// Keeps the error that a dropped operation met. Cancelled and interrupted ones have met none.
pub(super) fn keep_error(socket: &Socket, completion: Completion) {
    socket.note_error(completion);
    if let Some(errno) = completion.errno().filter(|_| !completion.is_interrupted()) {
        socket.put_back_error(describe("recv", io::Error::from_raw_os_error(errno)));
    }
}

/// Gives what a dropped receive met back to the socket: the `filled` bytes of its earlier steps, which
/// begin at `start`, and those of its last, or the end of the stream. The buffer is not told of them: that is foreign code,
/// and bytes must not be lost by its panic.
fn settle(
    socket: &Socket,
    buffer: &mut impl IoBufMut,
    start: usize,
    filled: usize,
    completion: Completion,
) {
    keep_error(socket, completion);
    if matches!(completion.result(), Ok(0)) {
        socket.put_back_end();
    }
    let count = filled + completion.result().map_or(0, |count| count as usize);
    // SAFETY: so many bytes have been written there by the kernel.
    socket.put_back(unsafe { slice::from_raw_parts(buffer.stable_mut_ptr().add(start), count) });
}
