//! Memory that bytes are received into past the ring.

use std::io;
use std::os::fd::AsRawFd;

use super::Socket;
use crate::buf::{HeapBuffer, Lease};
use crate::driver::OwnedBuffer;
use crate::sys::Completion;
use crate::sys::nonblocking::{available, receive};

/// For how many bytes there is to be room where it is not known what there is to receive.
const UNKNOWN: usize = 4095;

/// A large buffer of the runtime's or, if all are lent out, memory of its own. It is taken for bytes that
/// are there to be received, and not held by those who wait.
pub(super) enum Target {
    Large(OwnedBuffer),
    Own(HeapBuffer),
}

impl Target {
    pub(super) fn new(socket: &Socket) -> Self {
        let driver = socket.driver();
        let own = || {
            let fd = socket.descriptor().fd_at_hand();
            driver.buffers().heap_buffer(fd.map_or(UNKNOWN, |fd| available(fd.as_raw_fd())))
        };
        driver.buffers().take_large().map_or_else(|| Self::Own(own()), Self::Large)
    }

    /// Where it begins, and for how many bytes it has room.
    pub(super) fn memory(&mut self) -> (*mut u8, usize) {
        match self {
            Self::Large(taken) => (taken.start(), taken.size()),
            Self::Own(memory) => memory.room(),
        }
    }

    /// Receives what is there. `None` if there is nothing, or nothing to call by.
    pub(super) fn receive(&mut self, socket: &Socket) -> Option<Completion> {
        let (fd, (start, length)) = (socket.call_fd()?, self.memory());
        // SAFETY: there is room for so many bytes, and nobody else touches them.
        let done = unsafe { receive(fd, start, length) };
        socket.note_attempt(done)
    }

    /// Lends out what has been received into it, and lets the socket learn from it.
    pub(super) fn take(mut self, socket: &Socket, received: Completion) -> io::Result<Lease> {
        if let Self::Own(_) = self {
            socket.driver().counters().buffer_misses.increment();
        }
        let count = socket.received(received, "recv")?;
        let (_, room) = self.memory();
        socket.learn(count, room);
        Ok(match self {
            // SAFETY: so many bytes have been received.
            Self::Large(taken) => unsafe { taken.lend(count) },
            // SAFETY: as above, of no more than there is room for.
            Self::Own(memory) => unsafe { memory.lend(count) },
        })
    }
}
