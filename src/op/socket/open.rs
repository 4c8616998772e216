//! Making a socket: as a direct descriptor, if there is a file slot for it. Dropped in flight, it
//! is closed.

use std::io;
use std::rc::Rc;

use crate::driver::{Driver, FileSlot};
use crate::op::descriptor::Descriptor;
use crate::op::future::Op;
use crate::op::operation::{Operation, Step};
use crate::sys::{Completion, Submission, opcode, socket};

/// Makes a socket, as socket(2) does: as a direct descriptor if a file slot is free, or else with a
/// descriptor of the process.
pub(crate) async fn open_socket(
    driver: &Rc<Driver>,
    domain: i32,
    kind: i32,
    protocol: i32,
) -> io::Result<Descriptor> {
    match FileSlot::alloc(driver) {
        Some(slot) => Op::new(driver, OpenSocket::new(slot, domain, kind, protocol)).await,
        None => socket::open(domain, kind, protocol).map(Descriptor::from),
    }
}

/// Makes a socket as a direct descriptor.
pub(in crate::op) struct OpenSocket {
    slot: FileSlot,
    domain: i32,
    kind: i32,
    protocol: i32,
}

impl OpenSocket {
    pub(in crate::op) fn new(slot: FileSlot, domain: i32, kind: i32, protocol: i32) -> Self {
        Self { slot, domain, kind, protocol }
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for OpenSocket {
    type Output = io::Result<Descriptor>;

    fn submission(&mut self) -> Submission {
        let socket = opcode::Socket::new(self.domain, self.kind, self.protocol);
        socket.file_index(Some(self.slot.destination())).build()
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done(completion.result().map(|_| Descriptor::direct(self.slot)))
    }

    fn settle(self, _completion: Completion) {}
}
