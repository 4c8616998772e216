//! Links of a scripted ring: which SQE waits for which, and what a completion does to the rest of
//! its chain. It is as in the kernel (`uring-sys-tests`, `links` and `failed_links`): a chain ends
//! with the batch that it is taken in; most failures, and a transfer that is short, sever it; a
//! hard link does not.

use crate::sys::errno::ECANCELED;
use crate::sys::{Sqe, SubmissionFlags, failure_severs, opcode};

/// The links of the SQEs that were taken, in the same order.
#[derive(Default)]
pub(super) struct Links(Vec<Link>);

struct Link {
    to_next: ToNext,
    /// Whether the kernel has not begun it.
    is_waiting: bool,
    is_over: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ToNext {
    None,
    Soft,
    Hard,
}

impl Links {
    /// The kernel has taken these at once.
    pub(super) fn take(&mut self, batch: &[Sqe]) {
        let mut is_waiting = false;
        for (at, sqe) in batch.iter().enumerate() {
            // A linked timeout is of the SQE before it, and waits for nothing.
            let has_next =
                batch.get(at + 1).is_some_and(|next| next.opcode() != opcode::LinkTimeout::CODE);
            let to_next = match has_next {
                true if sqe.has(SubmissionFlags::IO_HARDLINK) => ToNext::Hard,
                true if sqe.has(SubmissionFlags::IO_LINK) => ToNext::Soft,
                _ => ToNext::None,
            };
            self.0.push(Link { to_next, is_waiting, is_over: false });
            is_waiting = to_next != ToNext::None;
        }
    }

    /// The nth SQE has completed for the last time. Returns those that are cancelled by that.
    pub(super) fn complete(&mut self, taken: &[Sqe], nth: usize, result: i32) -> Vec<usize> {
        assert!(!self.0[nth].is_waiting, "the kernel has not begun SQE {nth}");
        self.0[nth].is_over = true;
        let is_severed = match self.0[nth].to_next {
            ToNext::None => return Vec::new(),
            ToNext::Soft if result < 0 => result == SEVERED || failure_severs(taken[nth].opcode()),
            ToNext::Soft => is_short(&taken[nth], result),
            ToNext::Hard => false,
        };
        self.0[nth + 1].is_waiting = false;
        if !is_severed {
            return Vec::new();
        }
        let mut rest = vec![nth + 1];
        while self.0[rest[rest.len() - 1]].to_next != ToNext::None {
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

fn is_short(sqe: &Sqe, result: i32) -> bool {
    let is_transfer = [opcode::Read::CODE, opcode::Write::CODE].contains(&sqe.opcode());
    is_transfer && (result as u32) < sqe.length()
}

/// What the rest of a severed chain completes with.
pub(super) const SEVERED: i32 = -ECANCELED;
