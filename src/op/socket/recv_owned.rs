//! Receiving from a stream socket into an owned buffer, once or until the buffer is full.
//!
//! Dropped in flight, what was received goes to the socket's unread bytes, in order, and so does an
//! error, which the kernel would not report again, and EOF.

use std::rc::Rc;
use std::{io, slice};

use super::stream::StreamSocket;
use crate::buf::{BufResult, IoBufMut};
use crate::driver::Driver;
use crate::error::describe;
use crate::op::drain::Draining;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::nonblocking::receive;
use crate::sys::{Completion, Submission, opcode};

/// Receives until [`RecvOnce`] some data has come, or the buffer is [`RecvFull`].
pub(crate) struct Recv<B, U> {
    socket: Rc<StreamSocket>,
    buffer: B,
    until: U,
}

/// Available data is enough: at least one byte; none at EOF.
pub(crate) struct RecvOnce;

/// Until the buffer is full, or EOF comes too early.
pub(crate) struct RecvFull {
    /// How many unread bytes of the socket the buffer begins with. They are moved there at the end,
    /// so that a receive that is dropped again and again does not move them back and forth.
    unread: usize,
    /// How many bytes have been received behind them.
    received: usize,
}

impl<B: IoBufMut> Recv<B, RecvOnce> {
    /// Receives available data, at most the buffer's total.
    pub(crate) fn once(socket: &Rc<StreamSocket>, buffer: B) -> Self {
        Self { socket: Rc::clone(socket), buffer, until: RecvOnce }
    }
}

impl<B: IoBufMut> Recv<B, RecvFull> {
    /// Fills the buffer, which begins with the socket's unread bytes and has room for more.
    pub(crate) fn exact(socket: &Rc<StreamSocket>, buffer: B) -> Self {
        let until = RecvFull { unread: socket.unread_bytes(), received: 0 };
        Self { socket: Rc::clone(socket), buffer, until }
    }
}

/// When a receive is over.
pub(crate) trait Until: 'static {
    /// What it returns beside the buffer.
    type Output;

    /// Where the received bytes begin in the buffer, and how many earlier steps have received.
    fn received(&self) -> (usize, usize);

    /// Takes the outcome of a step, which had room for `room` bytes. Returns that of the whole, if
    /// it is over.
    fn after(&mut self, step: io::Result<usize>, room: usize) -> Option<io::Result<Self::Output>>;

    /// Tells the buffer how much of it is initialised.
    fn finish(
        &self,
        outcome: &io::Result<Self::Output>,
        socket: &StreamSocket,
        buffer: &mut impl IoBufMut,
    );
}

impl Until for RecvOnce {
    type Output = usize;

    fn received(&self) -> (usize, usize) {
        (0, 0)
    }

    fn after(&mut self, step: io::Result<usize>, _room: usize) -> Option<io::Result<usize>> {
        Some(step)
    }

    fn finish(
        &self,
        outcome: &io::Result<usize>,
        _socket: &StreamSocket,
        buffer: &mut impl IoBufMut,
    ) {
        if let &Ok(count) = outcome {
            // SAFETY: the kernel has written `count` bytes to the start of the buffer.
            unsafe { buffer.set_init(count) };
        }
    }
}

impl Until for RecvFull {
    type Output = ();

    fn received(&self) -> (usize, usize) {
        (self.unread, self.received)
    }

    fn after(&mut self, step: io::Result<usize>, room: usize) -> Option<io::Result<()>> {
        match step {
            Err(error) => Some(Err(error)),
            Ok(0) => {
                let early = io::Error::from(io::ErrorKind::UnexpectedEof);
                Some(Err(describe("recv", early)))
            }
            Ok(count) => {
                self.received += count;
                (count == room).then_some(Ok(()))
            }
        }
    }

    /// Makes the buffer whole, as far as it goes.
    fn finish(&self, _outcome: &io::Result<()>, socket: &StreamSocket, buffer: &mut impl IoBufMut) {
        let unread = socket.take_unread(buffer);
        debug_assert_eq!(unread, self.unread, "nothing else has read");
        // SAFETY: the buffer begins with `unread` bytes, which have just been moved there, and the
        // kernel has written `received` bytes behind them.
        unsafe { buffer.set_init(self.unread + self.received) };
    }
}

impl<B: IoBufMut, U: Until> Recv<B, U> {
    /// Where the next bytes go, and how many there is room for.
    fn room(&mut self) -> (*mut u8, usize) {
        let (start, received) = self.until.received();
        let begin = start + received;
        // SAFETY: the bytes before are at most the buffer's total.
        (unsafe { self.buffer.stable_mut_ptr().add(begin) }, self.buffer.bytes_total() - begin)
    }
}

// SAFETY: the SQE points to the buffer's memory, which does not move with it (`IoBufMut`), and
// nothing here touches it before the completion. The kernel does not write to it after that
// (`uring-sys-tests`, freed_buffer_never_written).
unsafe impl<B: IoBufMut, U: Until> Operation for Recv<B, U> {
    type Output = BufResult<U::Output, B>;

    fn submission(&mut self) -> Submission {
        let (start, length) = self.room();
        let length = sqe_length(length);
        // Not with MSG_WAITALL: if the connection is reset after some bytes, the kernel then
        // reports the bytes, forgets the error, and the next receive looks like EOF.
        self.socket.submission(|fd| opcode::Recv::new(fd, start, length).build())
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn try_inline(&mut self) -> Option<Completion> {
        let (fd, (start, length)) = (self.socket.inline_fd()?, self.room());
        // SAFETY: the buffer has `length` bytes from `start` on.
        let done = unsafe { receive(fd, start, length) };
        self.socket.note_inline_recv(fd, done)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.socket.has_more.set(completion.has_more());
        let (_, room) = self.room();
        let step = self.socket.received(completion, "recv");
        let Some(outcome) = self.until.after(step, room) else { return Step::Again(self) };
        self.until.finish(&outcome, &self.socket, &mut self.buffer);
        Step::Done(BufResult(outcome, self.buffer))
    }

    fn on_orphaned(&self) -> Option<Draining> {
        Some(Draining::read(&self.socket))
    }

    /// The bytes of earlier steps are put back with those of the last. The buffer is not told of
    /// them: that is foreign code, and bytes must not be lost by its panic.
    fn settle(mut self, completion: Completion) {
        let (start, received) = self.until.received();
        let count = received + completion.result().map_or(0, |count| count as usize);
        // SAFETY: the kernel has written `count` bytes from `start` on, over all steps.
        let bytes =
            unsafe { slice::from_raw_parts(self.buffer.stable_mut_ptr().add(start), count) };
        self.socket.put_back(bytes, completion);
    }
}
