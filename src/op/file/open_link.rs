//! The open at the head of a chain, whose links use the file without knowing its descriptor.
//!
//! They name the file slot that it is opened into. Without one it is opened as a descriptor of the
//! process, and what follows is submitted when that is known.

use std::io;
use std::rc::Rc;

use super::fd::FileFd;
use super::open::Open;
use crate::driver::FileSlot;
use crate::op::chain::{Link, NotRun};
use crate::op::operation::{Operation, Step};
use crate::sys::{Completion, Submission};

/// Opens a file, which the links behind it hold already.
pub(crate) struct OpenFirst {
    open: Open,
    file: Rc<FileFd>,
}

impl OpenFirst {
    /// The descriptor of `file` is a file slot, or [unopened](crate::op::Descriptor::unopened).
    pub(crate) fn new(open: Open, file: &Rc<FileFd>) -> Self {
        Self { open, file: Rc::clone(file) }
    }

    fn is_direct(&self) -> bool {
        self.file.descriptor().slot().is_some()
    }
}

// SAFETY: the SQE points to the path, which `Open` keeps as for its own.
unsafe impl Operation for OpenFirst {
    type Output = io::Result<()>;

    fn submission(&mut self) -> Submission {
        let slot = self.file.descriptor().slot();
        self.open.entry(slot.map(FileSlot::destination))
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if self.open.moves_to_worker(completion) {
            return Step::Again(self);
        }
        let opened = if self.is_direct() {
            completion.result().map(drop)
        } else {
            Open::opened(completion).map(|fd| self.file.descriptor().open(fd))
        };
        Step::Done(opened.map_err(|error| self.open.describe(error)))
    }

    /// A file slot is closed with the file.
    fn settle(self, completion: Completion) {
        if !self.is_direct() {
            drop(Open::opened(completion));
        }
    }
}

impl Link for OpenFirst {
    fn ends_part(&self) -> bool {
        !self.is_direct()
    }

    fn not_run(self, not_run: NotRun) -> Self::Output {
        Err(not_run.into())
    }
}
