//! Memory for an inline receive.

use std::io;
use std::os::fd::AsRawFd;

use super::stream::StreamSocket;
use crate::buf::{HeapBuffer, Lease};
use crate::driver::OwnedBuffer;
use crate::sys::Completion;
use crate::sys::nonblocking::{available, receive};

/// How much room there is to be where the amount of available data is not known.
const UNKNOWN: usize = 4095;

/// A large buffer or, if all are lent out, a heap buffer. It is taken when data is available,
/// and not held while waiting.
pub(super) enum RecvBuffer {
    Large(OwnedBuffer),
    Heap(HeapBuffer),
}

impl RecvBuffer {
    pub(super) fn new(socket: &StreamSocket) -> Self {
        let driver = socket.driver();
        let heap = || {
            let fd = socket.descriptor().fd_if_open();
            driver.buffers().heap_buffer(fd.map_or(UNKNOWN, |fd| available(fd.as_raw_fd())))
        };
        driver.buffers().take_large().map_or_else(|| Self::Heap(heap()), Self::Large)
    }

    /// Where it begins, and for how many bytes it has room.
    pub(super) fn memory(&mut self) -> (*mut u8, usize) {
        match self {
            Self::Large(buffer) => (buffer.start(), buffer.size()),
            Self::Heap(memory) => memory.room(),
        }
    }

    /// Receives available data. `None` if there is none, or no descriptor to call with.
    pub(super) fn receive(&mut self, socket: &StreamSocket) -> Option<Completion> {
        let (fd, (start, length)) = (socket.inline_fd()?, self.memory());
        // SAFETY: the memory has `length` bytes, and nothing else touches them.
        let done = unsafe { receive(fd, start, length) };
        socket.note_inline_recv(done)
    }

    /// Lends out what has been received into it, and lets the socket learn from it.
    pub(super) fn lend(mut self, socket: &StreamSocket, received: Completion) -> io::Result<Lease> {
        if let Self::Heap(_) = self {
            socket.driver().counters().buffer_misses.increment();
        }
        let count = socket.received(received, "recv")?;
        let (_, room) = self.memory();
        socket.learn(count, room);
        Ok(match self {
            // SAFETY: the receive has written `count` bytes.
            Self::Large(buffer) => unsafe { buffer.lend(count) },
            // SAFETY: as above, of no more than there is room for.
            Self::Heap(memory) => unsafe { memory.lend(count) },
        })
    }
}
