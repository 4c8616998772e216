//! Chains that the kernel has taken apart.
//!
//! A chain ends with the batch that the kernel takes (`uring-sys-tests`,
//! chain_ends_with_its_batch). All of it is published at once, but the kernel may take less than
//! what is published: it has no memory for one more request, or (before 5.15) an SQE is bad. The
//! rest is taken by the next enter, as a chain of its own, which does not wait for the first part.
//! So each enter compares what it has taken with the chains that were queued, and a chain that was
//! taken apart is written down, for its future to ask. A kernel thread that submits does not tell
//! what it took: there such a chain is not found.

use super::key::Key;
use crate::sys::Submission;

/// Where the chains in the ring are.
#[derive(Default)]
pub(super) struct ChainWatch {
    queued: Vec<QueuedChain>,
    split: Vec<SplitChain>,
}

/// A chain in the ring.
struct QueuedChain {
    /// Its first SQE.
    key: Key,
    /// How many SQEs are in front of it.
    start: usize,
    length: usize,
}

/// A chain of which the kernel has taken only the first SQEs at once.
struct SplitChain {
    /// Its first SQE.
    key: Key,
    taken: usize,
}

impl ChainWatch {
    /// Linked SQEs, or a single one, are in the ring, behind `start` others.
    pub(super) fn note_pushed(&mut self, start: usize, sqes: &[Submission]) {
        if let [first, _, ..] = sqes {
            let key = Key::from_user_data(first.get_user_data());
            self.queued.push(QueuedChain { key, start, length: sqes.len() });
        }
    }

    #[inline]
    pub(super) fn are_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    /// The kernel has taken the first `taken` SQEs of the ring.
    #[cold]
    pub(super) fn note_taken(&mut self, taken: usize) {
        let split = &mut self.split;
        self.queued.retain_mut(|chain| {
            let end = chain.start + chain.length;
            if chain.start < taken && taken < end {
                split.push(SplitChain { key: chain.key, taken: taken - chain.start });
            }
            let is_queued = taken <= chain.start;
            chain.start = chain.start.saturating_sub(taken);
            is_queued
        });
    }

    /// How many SQEs of a chain, which began with this one, were taken at once, if not all. Once.
    pub(super) fn take_split(&mut self, key: Key) -> Option<usize> {
        let at = self.split.iter().position(|chain| chain.key == key)?;
        Some(self.split.swap_remove(at).taken)
    }
}
