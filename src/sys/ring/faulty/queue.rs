//! SQEs that the ring behind has not taken.

use std::collections::VecDeque;
use std::slice;

use super::behind::Behind;
use super::dice::Dice;
use super::faults::FaultKind;
use crate::sys::{Sqe, Submission, opcode};

#[derive(Default)]
pub(super) struct Queue {
    /// What has not been passed on; linked SQEs are together.
    offered: VecDeque<Vec<Submission>>,
    /// Of each SQE in the queue of the ring behind, whether it is the driver's.
    passed: VecDeque<bool>,
}

/// What was passed on.
pub(super) struct Passed {
    /// How many SQEs were not.
    pub(super) left: usize,
    /// How many SQEs of the chain that was split.
    pub(super) of_chain: Option<usize>,
}

impl Queue {
    /// Adds linked SQEs, or a single one.
    pub(super) fn add(&mut self, sqes: Vec<Submission>) {
        self.offered.push_back(sqes);
    }

    /// How many SQEs have not been passed on.
    pub(super) fn len(&self) -> usize {
        self.offered.iter().map(Vec::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offered.is_empty() && self.passed.is_empty()
    }

    /// How many SQEs in the queue of the ring behind are not the driver's.
    pub(super) fn own(&self) -> usize {
        self.passed.iter().filter(|&&is_drivers| !is_drivers).count()
    }

    /// Queues an SQE that is not the driver's. Returns whether there was room.
    ///
    /// # Safety
    ///
    /// As for `Ring::push`.
    pub(super) unsafe fn push_own(&mut self, ring: &mut dyn Behind, sqe: &Submission) -> bool {
        // SAFETY: passed on by the caller.
        let has_room = unsafe { ring.push_all(slice::from_ref(sqe)) }.is_ok();
        if has_room {
            self.passed.push_back(false);
        }
        has_room
    }

    /// Passes SQEs on to the ring behind for an enter: all for which it has room, or fewer.
    pub(super) fn pass_on(&mut self, ring: &mut dyn Behind, dice: &Dice, enter: u64) -> Passed {
        let kind = FaultKind::PartialSubmissions;
        let mut end = self.offered.len();
        if end > 1 && dice.falls(kind, enter) {
            end = 1 + dice.below(end as u64 - 1, kind, enter) as usize;
        }
        let kind = FaultKind::SplitChains;
        let splits = dice.falls(kind, enter);
        let split = self.offered.iter().take(end).position(|sqes| splits && may_be_split(sqes));
        for _ in 0..split.unwrap_or(end) {
            let Some(sqes) = self.offered.front() else { break };
            // SAFETY: the driver keeps what the SQEs point to.
            if unsafe { ring.push_all(sqes) }.is_err() {
                return Passed { left: self.len(), of_chain: None };
            }
            self.passed.extend(sqes.iter().map(|_| true));
            self.offered.pop_front();
        }
        let mut of_chain = None;
        if let (Some(_), Some(chain)) = (split, self.offered.front_mut()) {
            let first = 1 + dice.below(chain.len() as u64 - 1, kind, enter) as usize;
            // SAFETY: as above.
            if unsafe { ring.push_all(&chain[..first]) }.is_ok() {
                self.passed.extend(chain.drain(..first).map(|_| true));
                of_chain = Some(first);
            }
        }
        Passed { left: self.len(), of_chain }
    }

    /// The ring behind has taken some. Returns how many of them are the driver's.
    pub(super) fn note_taken(&mut self, taken: usize) -> usize {
        let taken = taken.min(self.passed.len());
        self.passed.drain(..taken).filter(|&is_drivers| is_drivers).count()
    }
}

/// Whether the kernel may take the first of these without the others. (It may also take a timeout
/// apart from its operation, which then has none, for want of memory.)
fn may_be_split(sqes: &[Submission]) -> bool {
    let is_timeout = |sqe: &Submission| Sqe::of(sqe).opcode() == opcode::LinkTimeout::CODE;
    sqes.len() > 1 && !sqes.iter().any(is_timeout)
}
