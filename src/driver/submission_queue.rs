//! Entries on their way to the kernel: in the ring, or behind it for want of room there.
//!
//! Order is kept: as long as anything waits behind the ring, everything newer does too.

use std::collections::VecDeque;
use std::slice;

use crate::sys::{Completion, Entered, Full, Ring, Submission, SubmissionFlags, Wait};

/// One entry, or two that are linked and must be submitted together.
pub(super) enum Chain {
    Single(Submission),
    Linked([Submission; 2]),
}

impl Chain {
    pub(super) fn linked(first: Submission, second: Submission) -> Self {
        Self::Linked([first.flags(SubmissionFlags::IO_LINK), second])
    }

    fn entries(&self) -> &[Submission] {
        match self {
            Self::Single(entry) => slice::from_ref(entry),
            Self::Linked(entries) => entries,
        }
    }
}

pub(super) struct SubmissionQueue {
    ring: Ring,
    /// What waits for room in the ring. Its memory is kept, as `defer` demands.
    backlog: VecDeque<Chain>,
}

impl SubmissionQueue {
    pub(super) fn new(ring: Ring) -> Self {
        Self { ring, backlog: VecDeque::new() }
    }

    /// Puts an entry into the ring, if nothing is before it and there is room.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`].
    #[inline]
    pub(super) unsafe fn offer(&mut self, entry: &Submission) -> Result<(), Full> {
        if self.has_backlog() {
            return Err(Full);
        }
        // SAFETY: passed on by the caller.
        unsafe { self.ring.push(entry) }
    }

    /// Puts a whole chain into the ring, if nothing is before it and there is room.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for each entry.
    pub(super) unsafe fn offer_chain(&mut self, chain: &Chain) -> Result<(), Full> {
        if self.has_backlog() {
            return Err(Full);
        }
        // SAFETY: passed on by the caller.
        unsafe { self.ring.push_all(chain.entries()) }
    }

    /// Lets a chain wait for room.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for each entry.
    pub(super) unsafe fn defer(&mut self, chain: Chain) {
        self.backlog.push_back(chain);
    }

    #[inline]
    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Moves what waits for room into the ring.
    #[inline]
    pub(super) fn feed(&mut self) {
        while let Some(chain) = self.backlog.front() {
            // SAFETY: the caller of `defer` keeps the chain's memory.
            if unsafe { self.ring.push_all(chain.entries()) }.is_err() {
                return;
            }
            self.backlog.pop_front();
        }
    }

    /// How many entries have not reached the kernel.
    #[inline]
    pub(super) fn len(&mut self) -> usize {
        self.ring.queued() + self.backlog.iter().map(|chain| chain.entries().len()).sum::<usize>()
    }

    /// Whether an enter would submit something, complete something, or make room for what waits for
    /// it. (A full ring may have nothing queued, where a kernel thread takes the entries.)
    #[inline]
    pub(super) fn is_worth_entering(&mut self) -> bool {
        self.ring.queued() > 0
            || self.has_backlog()
            || self.ring.has_deferred()
            || self.ring.is_overflown()
    }

    /// Gives back memory that was for a longer backlog.
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
