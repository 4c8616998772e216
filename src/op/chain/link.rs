//! One operation of a chain.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::not_run::{NotRun, Reason};
use crate::driver::{Driver, Key};
use crate::op::operation::{Operation, Step, sqe_length};
use crate::op::orphan::orphan_link;
use crate::sys::errno::EINTR;
use crate::sys::{Completion, Submission, SubmissionFlags};

/// An operation that can be a link. It waits in `poll_ready`, but does not end there.
pub(crate) trait Link: Operation {
    /// Whether what follows is carried out even if this fails or is short.
    const IS_HARD: bool = false;

    /// Whether it is cancelled when the future is dropped.
    const IS_CANCELLABLE: bool = true;

    /// How many bytes its next step is to transfer, if it is a transfer.
    fn length(&self) -> Option<usize> {
        None
    }

    /// Whether it can be carried out once more with the same outcome.
    fn is_repeatable(&self) -> bool {
        false
    }

    /// The output if it has not been carried out.
    fn not_run(self, not_run: NotRun) -> Self::Output;
}

/// An operation of a chain, and then its output.
pub(crate) struct Linked<O: Operation> {
    /// `None` once it is over.
    operation: Option<O>,
    output: Option<O::Output>,
    is_refused: bool,
}

/// What a completion means for a chain.
pub(crate) enum Taken {
    /// The chain goes on.
    Done,
    /// The link severs the chain.
    Severs(Reason),
    /// The link has another step, before what follows.
    Again,
}

impl<O: Link> Linked<O> {
    pub(crate) fn new(operation: O) -> Self {
        Self { operation: Some(operation), output: None, is_refused: false }
    }

    /// A link that has succeeded without the kernel.
    pub(crate) fn done(output: O::Output) -> Self {
        Self { operation: None, output: Some(output), is_refused: false }
    }

    /// A link that fails without the kernel.
    pub(crate) fn refused(output: O::Output) -> Self {
        Self { operation: None, output: Some(output), is_refused: true }
    }

    pub(crate) fn into_output(self) -> O::Output {
        self.output.expect("the chain is over")
    }

    fn operation(&self) -> &O {
        self.operation.as_ref().expect("a link in flight is not over")
    }
}

/// What a chain does with a link, whichever operation it is.
///
/// # Safety
///
/// As for [`Operation`], for each submission until [`take`](Self::take) or
/// [`orphan`](Self::orphan).
pub(crate) unsafe trait AnyLink {
    /// Whether it is not over.
    fn is_open(&self) -> bool;

    /// Whether it has failed without the kernel.
    fn is_refused(&self) -> bool;

    /// Whether it is cancelled when the future is dropped.
    fn is_cancellable(&self) -> bool;

    /// Whether what follows waits in user space until its next step has completed.
    fn is_longer_than_an_sqe(&self) -> bool;

    fn is_repeatable(&self) -> bool;

    /// Waits for what must come first.
    fn poll_ready(&self, context: &Context<'_>) -> Poll<()>;

    /// Writes the SQE of its next step, with the flag by which another is linked to it.
    fn submission(&mut self) -> (Submission, SubmissionFlags);

    /// Takes the completion of a step.
    fn take(&mut self, completion: Completion) -> Taken;

    /// Ends it without its having been carried out.
    fn skip(&mut self, not_run: NotRun);

    /// The future is gone. If the link is in flight, the slot keeps it, and this returns true. The
    /// first in flight is cancelled, and `next` when this has completed.
    fn orphan(&mut self, driver: &Rc<Driver>, key: Key, next: Option<Key>, is_first: bool) -> bool;

    /// The future is gone, and this completion is not taken by it.
    fn settle(&mut self, completion: Completion);
}

// SAFETY: the operation's own promise, and it is not touched between.
unsafe impl<O: Link> AnyLink for Linked<O> {
    fn is_open(&self) -> bool {
        self.operation.is_some()
    }

    fn is_refused(&self) -> bool {
        self.is_refused
    }

    fn is_cancellable(&self) -> bool {
        O::IS_CANCELLABLE
    }

    fn is_longer_than_an_sqe(&self) -> bool {
        let length = self.operation().length();
        length.is_some_and(|length| length > sqe_length(length) as usize)
    }

    fn is_repeatable(&self) -> bool {
        self.operation().is_repeatable()
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        let Some(operation) = &self.operation else { return Poll::Ready(()) };
        operation.poll_ready(context).map(|known| debug_assert!(known.is_none(), "a link waits"))
    }

    fn submission(&mut self) -> (Submission, SubmissionFlags) {
        let operation = self.operation.as_mut().expect("a link that is over is not submitted");
        let flag = if O::IS_HARD { SubmissionFlags::IO_HARDLINK } else { SubmissionFlags::IO_LINK };
        (operation.submission(), flag)
    }

    fn take(&mut self, completion: Completion) -> Taken {
        let mut operation = self.operation.take().expect("a link in flight is not over");
        // What is behind a hard link has been carried out.
        if completion.failed_with(EINTR) && !O::IS_HARD {
            operation.interrupted(completion);
            self.operation = Some(operation);
            return Taken::Again;
        }
        let reason = match (completion.result(), operation.length()) {
            (Err(_), _) => Some(Reason::Failed),
            (Ok(count), Some(length)) if (count as usize) < length => Some(Reason::Short),
            _ => None,
        };
        match operation.complete(completion) {
            Step::Done(output) => self.output = Some(output),
            Step::Again(operation) | Step::NoRoom(operation) => {
                self.operation = Some(operation);
                return Taken::Again;
            }
        }
        reason.filter(|_| !O::IS_HARD).map_or(Taken::Done, Taken::Severs)
    }

    fn skip(&mut self, not_run: NotRun) {
        if let Some(operation) = self.operation.take() {
            self.output = Some(operation.not_run(not_run));
        }
    }

    fn orphan(&mut self, driver: &Rc<Driver>, key: Key, next: Option<Key>, is_first: bool) -> bool {
        let operation = self.operation.take().expect("a link in flight is not over");
        orphan_link(driver, key, operation, next, is_first && O::IS_CANCELLABLE)
    }

    fn settle(&mut self, completion: Completion) {
        if let Some(operation) = self.operation.take() {
            operation.settle(completion);
        }
    }
}
