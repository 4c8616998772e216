//! Memory that bytes are received into past the ring.

use std::io;

use super::Socket;
use crate::buf::Lease;
use crate::driver::{Driver, Taken};
use crate::sys::Completion;
use crate::sys::transfer::receive;

/// How many bytes memory of its own has at most: it is allocated for each receive.
const OWN: usize = 64 * 1024;

/// A large buffer of the runtime's or, if all are lent out, memory of its own. Nobody waits with one in
/// hand: it is taken for bytes that are there.
pub(super) enum Target {
    Large(Taken),
    Own(Vec<u8>),
}

impl Target {
    pub(super) fn new(driver: &Driver) -> Self {
        let own = || Self::Own(Vec::with_capacity(driver.lease_bytes().min(OWN)));
        driver.take_lease().map_or_else(own, Self::Large)
    }

    /// Where it begins, and for how many bytes it has room.
    pub(super) fn memory(&mut self) -> (*mut u8, usize) {
        match self {
            Self::Large(taken) => (taken.start(), taken.size()),
            Self::Own(memory) => (memory.as_mut_ptr(), memory.capacity()),
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
            socket.driver().note_lease_miss();
        }
        let count = socket.received(received, "recv")?;
        let (_, room) = self.memory();
        socket.learn(count, room);
        Ok(match self {
            // SAFETY: so many bytes have been received.
            Self::Large(taken) => unsafe { taken.lend(count) },
            Self::Own(mut memory) => {
                // SAFETY: as above, of no more than there is room for.
                unsafe { memory.set_len(count) };
                Lease::from(memory)
            }
        })
    }
}
