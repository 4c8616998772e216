//! Making a socket in a place of the ring's table. Dropped in flight, it is closed.

use std::io;
use std::net::SocketAddr;

use super::{Descriptor, Operation, Step};
use crate::driver::FileSlot;
use crate::sys::socket::{IPPROTO_TCP, SOCK_STREAM, family};
use crate::sys::{Completion, Submission, opcode};

/// Makes a TCP socket.
pub(crate) struct OpenSocket {
    place: FileSlot,
    family: i32,
}

impl OpenSocket {
    /// Of the family of an address.
    pub(crate) fn new(place: FileSlot, address: &SocketAddr) -> Self {
        Self { place, family: family(address) }
    }
}

// SAFETY: the entry points to no memory.
unsafe impl Operation for OpenSocket {
    type Output = io::Result<Descriptor>;

    fn entry(&mut self) -> Submission {
        let target = Some(self.place.target());
        opcode::Socket::new(self.family, SOCK_STREAM, IPPROTO_TCP).file_index(target).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(|_| Descriptor::direct(self.place)))
    }

    fn settle(self, _completion: Completion) {}
}
