//! Opening a file as a direct descriptor. Dropped in flight, what has been opened is closed.

use std::io;

use super::open::Open;
use crate::driver::FileSlot;
use crate::op::descriptor::Descriptor;
use crate::op::operation::{Operation, Step};
use crate::sys::{Completion, Submission};

/// Opens a file into a file slot.
pub(crate) struct OpenDirect {
    open: Open,
    slot: FileSlot,
}

impl OpenDirect {
    pub(crate) fn new(open: Open, slot: FileSlot) -> Self {
        Self { open, slot }
    }
}

// SAFETY: the SQE points to the path, which `Open` keeps as for its own.
unsafe impl Operation for OpenDirect {
    type Output = io::Result<Descriptor>;

    fn submission(&mut self) -> Submission {
        self.open.entry(Some(self.slot.destination()))
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if self.open.moves_to_worker(completion) {
            return Step::Again(self);
        }
        Step::Done(completion.result().map(|_| Descriptor::direct(self.slot)))
    }

    /// The slot is closed when it is dropped.
    fn settle(self, _completion: Completion) {}
}
