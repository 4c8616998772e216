//! Memory for an inline receive.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use super::stream::StreamSocket;
use crate::buf::{HeapBuffer, Lease};
use crate::driver::{Driver, OwnedBuffer};
use crate::sys::Completion;
use crate::sys::nonblocking::{available, receive};

/// How much room there is to be where the amount of available data is not known.
const UNKNOWN: usize = 4095;

/// A large buffer or, if all are lent out, a heap buffer. It is taken when data is available,
/// and not held while waiting.
pub(in crate::op) enum RecvBuffer {
    Large(OwnedBuffer),
    Heap(HeapBuffer),
}

impl RecvBuffer {
    pub(super) fn new(socket: &StreamSocket) -> Self {
        let fd = || socket.descriptor().fd_if_open().map(AsRawFd::as_raw_fd);
        Self::for_bytes_of(socket.driver(), fd)
    }

    /// For the bytes of a descriptor, which is asked for if no large buffer is left.
    pub(in crate::op) fn for_bytes_of(driver: &Driver, fd: impl FnOnce() -> Option<RawFd>) -> Self {
        let heap = || driver.buffers().heap_buffer(fd().map_or(UNKNOWN, available));
        driver.buffers().take_large().map_or_else(|| Self::Heap(heap()), Self::Large)
    }

    /// Where it begins, and for how many bytes it has room.
    pub(in crate::op) fn memory(&mut self) -> (*mut u8, usize) {
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
        socket.note_inline_recv(fd, done)
    }

    /// Lends out what has been received into it, and lets the socket learn from it.
    pub(super) fn lend(mut self, socket: &StreamSocket, received: Completion) -> io::Result<Lease> {
        let count = socket.received(received, "recv")?;
        let (_, room) = self.memory();
        socket.learn(count, room);
        // SAFETY: the receive has written `count` bytes.
        Ok(unsafe { self.lend_bytes(socket.driver(), count) })
    }

    /// Lends out its first `count` bytes.
    ///
    /// # Safety
    ///
    /// They have been written, and there is room for as many.
    pub(in crate::op) unsafe fn lend_bytes(self, driver: &Driver, count: usize) -> Lease {
        match self {
            // SAFETY: passed on by the caller.
            Self::Large(buffer) => unsafe { buffer.lend(count) },
            Self::Heap(memory) => {
                driver.counters().buffer_misses.increment();
                // SAFETY: as above.
                unsafe { memory.lend(count) }
            }
        }
    }
}
