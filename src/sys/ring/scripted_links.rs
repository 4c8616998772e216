//! Links of a scripted ring: which SQE waits for which, and what a completion does to the rest of
//! its chain (`severing`).

use crate::sys::errno::ECANCELED;
use crate::sys::severing::{is_linked, severs, whole};
use crate::sys::{Sqe, opcode};

/// The links of the SQEs that were taken, in the same order.
#[derive(Default)]
pub(super) struct Links(Vec<Link>);

struct Link {
    /// Whether the next SQE waits for this one.
    has_next: bool,
    /// How many bytes it moves if it is not short.
    whole: u32,
    /// Whether the kernel has not begun it.
    is_waiting: bool,
    is_over: bool,
}

impl Links {
    /// The kernel has taken these at once.
    pub(super) fn take(&mut self, batch: &[Sqe]) {
        let mut is_waiting = false;
        for (at, sqe) in batch.iter().enumerate() {
            // A linked timeout is of the SQE before it, and waits for nothing.
            let is_followed =
                batch.get(at + 1).is_some_and(|next| next.opcode() != opcode::LinkTimeout::CODE);
            let has_next = is_followed && is_linked(sqe);
            // SAFETY: the operation keeps the array until the submission, which this is.
            let whole = unsafe { whole(sqe) };
            self.0.push(Link { has_next, whole, is_waiting, is_over: false });
            is_waiting = has_next;
        }
    }

    /// The nth SQE has completed for the last time. Returns those that are cancelled by that.
    pub(super) fn complete(&mut self, taken: &[Sqe], nth: usize, result: i32) -> Vec<usize> {
        let link = &mut self.0[nth];
        assert!(!link.is_waiting, "the kernel has not begun SQE {nth}");
        link.is_over = true;
        if !link.has_next {
            return Vec::new();
        }
        let is_severed = severs(&taken[nth], link.whole, result);
        self.0[nth + 1].is_waiting = false;
        if !is_severed {
            return Vec::new();
        }
        let mut rest = vec![nth + 1];
        while self.0[rest[rest.len() - 1]].has_next {
            rest.push(rest[rest.len() - 1] + 1);
        }
        for &nth in &rest {
            (self.0[nth].is_waiting, self.0[nth].is_over) = (false, true);
        }
        rest
    }

    /// Whether a cancel would find the nth SQE.
    pub(super) fn is_begun(&self, nth: usize) -> bool {
        !self.0[nth].is_waiting && !self.0[nth].is_over
    }
}

/// What the rest of a severed chain completes with.
pub(super) const SEVERED: i32 = -ECANCELED;
