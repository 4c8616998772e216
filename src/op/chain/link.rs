//! One operation of a chain.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::not_run::{NotRun, Reason};
use crate::driver::{Driver, Key};
use crate::op::operation::{Operation, Step, sqe_length};
use crate::op::orphan::orphan_link;
use crate::sys::errno::EINTR;
use crate::sys::{Completion, Submission};

/// An operation that can be a link. It waits in `poll_ready`, but does not end there.
pub(crate) trait Link: Operation {
    /// Whether it is carried out however the links before it have ended, unless the first has
    /// failed. Then it is not cancelled when the future is dropped, and not repeated.
    const ENDS_CHAIN: bool = false;

    /// How many bytes its next step is to transfer, if it is a transfer.
    fn length(&self) -> Option<usize> {
        None
    }

    /// Whether what follows waits in user space for the completion of its next step.
    fn ends_part(&self) -> bool {
        self.length().is_some_and(|length| length > sqe_length(length) as usize)
    }

    /// Whether its next step is the last, however that ends.
    fn is_last_step(&self) -> bool {
        false
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

    /// Whether it is carried out however the links before it have ended.
    fn ends_chain(&self) -> bool;

    /// Whether what follows waits in user space until its next step has completed.
    fn ends_part(&self) -> bool;

    /// Whether its next step is the last, however that ends.
    fn is_last_step(&self) -> bool;

    fn is_repeatable(&self) -> bool;

    /// Waits for what must come first.
    fn poll_ready(&self, context: &Context<'_>) -> Poll<()>;

    /// Writes the SQE of its next step.
    fn submission(&mut self) -> Submission;

    /// Takes the completion of a step. It is not interrupted if what follows `was_hard`: that has
    /// been carried out.
    fn take(&mut self, completion: Completion, was_hard: bool) -> Taken;

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

    fn ends_chain(&self) -> bool {
        O::ENDS_CHAIN
    }

    fn ends_part(&self) -> bool {
        self.operation().ends_part()
    }

    fn is_last_step(&self) -> bool {
        self.operation().is_last_step()
    }

    fn is_repeatable(&self) -> bool {
        self.operation().is_repeatable()
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        let Some(operation) = &self.operation else { return Poll::Ready(()) };
        operation.poll_ready(context).map(|known| debug_assert!(known.is_none(), "a link waits"))
    }

    fn submission(&mut self) -> Submission {
        self.operation.as_mut().expect("a link that is over is not submitted").submission()
    }

    fn take(&mut self, completion: Completion, was_hard: bool) -> Taken {
        let mut operation = self.operation.take().expect("a link in flight is not over");
        if completion.failed_with(EINTR) && !was_hard && !O::ENDS_CHAIN {
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
        reason.map_or(Taken::Done, Taken::Severs)
    }

    fn skip(&mut self, not_run: NotRun) {
        if let Some(operation) = self.operation.take() {
            self.output = Some(operation.not_run(not_run));
        }
    }

    fn orphan(&mut self, driver: &Rc<Driver>, key: Key, next: Option<Key>, is_first: bool) -> bool {
        let operation = self.operation.take().expect("a link in flight is not over");
        orphan_link(driver, key, operation, next, is_first && !O::ENDS_CHAIN)
    }

    fn settle(&mut self, completion: Completion) {
        if let Some(operation) = self.operation.take() {
            operation.settle(completion);
        }
    }
}
