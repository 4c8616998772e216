//! SQEs on their way to the kernel: in the ring, or in a backlog while the ring is full.
//!
//! Order is kept: while the backlog is not empty, every new SQE goes to its end.

use std::collections::VecDeque;
use std::slice;

use super::chain_watch::ChainWatch;
use crate::sys::{Completion, Entered, Full, Ring, Submission, Wait};

/// One SQE, or several that are linked and must be submitted together.
enum Deferred {
    Single(Submission),
    Linked(Box<[Submission]>),
}

impl Deferred {
    fn of(sqes: &[Submission]) -> Self {
        match sqes {
            [sqe] => Self::Single(sqe.clone()),
            _ => Self::Linked(sqes.into()),
        }
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
    backlog: VecDeque<Deferred>,
    /// Which SQEs in the ring are linked.
    chains: ChainWatch,
}

impl SubmissionQueue {
    pub(super) fn new(ring: Ring) -> Self {
        Self { ring, backlog: VecDeque::new(), chains: ChainWatch::default() }
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
    pub(super) unsafe fn offer_chain(&mut self, sqes: &[Submission]) -> Result<(), Full> {
        if self.has_backlog() {
            return Err(Full);
        }
        let before = self.ring.queued();
        // SAFETY: passed on by the caller.
        unsafe { self.ring.push_all(sqes) }?;
        self.chains.note_pushed(before, sqes);
        Ok(())
    }

    /// Adds a chain, or a single SQE, to the backlog.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for each SQE.
    pub(super) unsafe fn defer(&mut self, sqes: &[Submission]) {
        self.backlog.push_back(Deferred::of(sqes));
    }

    /// The chains in the ring, and those that the kernel has not taken as a whole.
    pub(super) fn chains(&mut self) -> &mut ChainWatch {
        &mut self.chains
    }

    #[inline]
    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Moves the backlog into the ring, as far as there is room.
    #[inline]
    pub(super) fn feed(&mut self) {
        while let Some(deferred) = self.backlog.front() {
            let before = self.ring.queued();
            // SAFETY: the caller of `defer` keeps the memory.
            if unsafe { self.ring.push_all(deferred.sqes()) }.is_err() {
                return;
            }
            self.chains.note_pushed(before, deferred.sqes());
            self.backlog.pop_front();
        }
    }

    /// How many SQEs have not reached the kernel.
    #[inline]
    pub(super) fn len(&mut self) -> usize {
        self.ring.queued()
            + self.backlog.iter().map(|deferred| deferred.sqes().len()).sum::<usize>()
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
        let entered = self.ring.enter(wait);
        if self.chains.are_queued() {
            self.chains.note_taken(entered.taken);
        }
        entered
    }

    #[inline]
    pub(super) fn reap(&mut self, sink: impl FnMut(Completion)) {
        self.ring.reap(sink);
    }
}
