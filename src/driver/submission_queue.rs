//! SQEs on their way to the kernel: in the ring, or in a backlog while the ring is full.
//!
//! Order is kept: while the backlog is not empty, every new SQE goes to its end.

use std::collections::VecDeque;
use std::slice;

use crate::sys::{Completion, Entered, Full, Ring, Submission, SubmissionFlags, Wait};

/// One SQE, or two that are linked and must be submitted together.
pub(super) enum Chain {
    Single(Submission),
    Linked([Submission; 2]),
}

impl Chain {
    pub(super) fn linked(first: Submission, second: Submission) -> Self {
        Self::Linked([first.flags(SubmissionFlags::IO_LINK), second])
    }

    fn sqes(&self) -> &[Submission] {
        match self {
            Self::Single(sqe) => slice::from_ref(sqe),
            Self::Linked(sqes) => sqes,
        }
    }
}

pub(super) struct SubmissionQueue {
    ring: Ring,
    /// What waits for room in the ring. The callers of `defer` keep what these SQEs point to.
    backlog: VecDeque<Chain>,
}

impl SubmissionQueue {
    pub(super) fn new(ring: Ring) -> Self {
        Self { ring, backlog: VecDeque::new() }
    }

    /// Puts an SQE into the ring, if the backlog is empty and there is room.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`].
    #[inline]
    pub(super) unsafe fn offer(&mut self, sqe: &Submission) -> Result<(), Full> {
        if self.has_backlog() {
            return Err(Full);
        }
        // SAFETY: passed on by the caller.
        unsafe { self.ring.push(sqe) }
    }

    /// Puts a whole chain into the ring, if the backlog is empty and there is room.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for each SQE.
    pub(super) unsafe fn offer_chain(&mut self, chain: &Chain) -> Result<(), Full> {
        if self.has_backlog() {
            return Err(Full);
        }
        // SAFETY: passed on by the caller.
        unsafe { self.ring.push_all(chain.sqes()) }
    }

    /// Adds a chain to the backlog.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for each SQE.
    pub(super) unsafe fn defer(&mut self, chain: Chain) {
        self.backlog.push_back(chain);
    }

    #[inline]
    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Moves the backlog into the ring, as far as there is room.
    #[inline]
    pub(super) fn feed(&mut self) {
        while let Some(chain) = self.backlog.front() {
            // SAFETY: the caller of `defer` keeps the chain's memory.
            if unsafe { self.ring.push_all(chain.sqes()) }.is_err() {
                return;
            }
            self.backlog.pop_front();
        }
    }

    /// How many SQEs have not reached the kernel.
    #[inline]
    pub(super) fn len(&mut self) -> usize {
        self.ring.queued() + self.backlog.iter().map(|chain| chain.sqes().len()).sum::<usize>()
    }

    /// Whether an enter would submit something, complete something, or make room for the backlog.
    /// (A full ring may have nothing queued, where a kernel thread takes the SQEs.)
    #[inline]
    pub(super) fn is_worth_entering(&mut self) -> bool {
        self.ring.queued() > 0
            || self.has_backlog()
            || self.ring.has_deferred()
            || self.ring.is_overflown()
    }

    /// Whether a turn would find anything to submit or to collect.
    pub(super) fn is_pending(&mut self) -> bool {
        self.is_worth_entering() || self.ring.has_completions()
    }

    /// Gives back memory that a longer backlog needed.
    pub(super) fn trim(&mut self) {
        self.backlog.shrink_to(2 * self.backlog.len());
    }

    pub(super) fn ring(&mut self) -> &mut Ring {
        &mut self.ring
    }

    #[inline]
    pub(super) fn is_overflown(&mut self) -> bool {
        self.ring.is_overflown()
    }

    #[inline]
    pub(super) fn enter(&mut self, wait: Wait) -> Entered {
        self.ring.enter(wait)
    }

    #[inline]
    pub(super) fn reap(&mut self, sink: impl FnMut(Completion)) {
        self.ring.reap(sink);
    }
}
