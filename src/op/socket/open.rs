//! Making a socket as a direct descriptor. Dropped in flight, it is closed.

use std::io;

use super::descriptor::Descriptor;
use crate::driver::FileSlot;
use crate::op::operation::{Operation, Step};
use crate::sys::{Completion, Submission, opcode};

/// Makes a socket.
pub(crate) struct OpenSocket {
    slot: FileSlot,
    domain: i32,
    kind: i32,
    protocol: i32,
}

impl OpenSocket {
    /// As for socket(2), in a file slot. Direct descriptors are not inherited by other programs.
    pub(crate) fn new(slot: FileSlot, domain: i32, kind: i32, protocol: i32) -> Self {
        Self { slot, domain, kind, protocol }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for OpenSocket {
    type Output = io::Result<Descriptor>;

    fn submission(&mut self) -> Submission {
        let socket = opcode::Socket::new(self.domain, self.kind, self.protocol);
        socket.file_index(Some(self.slot.target())).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(|_| Descriptor::direct(self.slot)))
    }

    fn complete_orphaned(self, _completion: Completion) {}
}
