//! What happens to an SQE before the ring behind gets it: it stays as it is, its transfer becomes
//! shorter, or a no-op is in its place, so that it fails.

use libc::EALREADY;

use super::FaultyRing;
use super::faults::FaultKind;
use super::requests::{self, Fate, Request};
use super::transfers::Transfer;
use crate::sys::errno::{EINTR, ENOBUFS, ENOENT};
use crate::sys::{Sqe, Submission, opcode};

impl FaultyRing {
    /// Decides what becomes of an SQE, and returns what is to be submitted. `chain` is the number
    /// of the first SQE of its chain.
    ///
    /// # Safety
    ///
    /// As for `Ring::push`.
    pub(super) unsafe fn admit(
        &mut self,
        submission: &Submission,
        chain: Option<u64>,
    ) -> Submission {
        let mut sqe = *Sqe::of(submission);
        let number = self.requests.next_number();
        let mut request = Request {
            user_data: sqe.user_data(),
            group: requests::group(&sqe, chain.unwrap_or(number)),
            fate: Fate::AsItIs,
            is_multishot: requests::is_multishot(&sqe),
            selects_buffers: sqe.buffer_group().is_some(),
            ending: None,
            completed: 0,
            name: requests::name(&sqe),
            kept: None,
        };
        if chain.is_none() {
            request.fate = self.fate(number, &sqe);
        }
        match request.fate {
            Fate::Fails(_) | Fate::AnswersLateCancel { .. } => {
                self.note(format_args!("{} {number}: {:?}", request.name, request.fate));
                sqe = *Sqe::of(&opcode::Nop::new().build());
            }
            Fate::AnswersCancel { .. } => {
                self.note(format_args!("{} {number}: {:?}", request.name, request.fate));
            }
            Fate::AsItIs if self.dice.falls(FaultKind::ShortTransfers, number) => {
                // SAFETY: the caller's promise.
                unsafe { self.shorten(number, &mut sqe, &mut request) };
            }
            Fate::AsItIs => {}
        }
        if sqe.opcode() == opcode::AsyncCancel::CODE && sqe.op_flags() == 0 {
            sqe.set_address(self.requests.number_of(sqe.address()));
        }
        sqe.set_user_data(number);
        self.requests.add(number, request);
        sqe.to_submission()
    }

    /// Whether an SQE that is in no chain fails without being submitted, and how a cancel answers.
    fn fate(&self, number: u64, sqe: &Sqe) -> Fate {
        let dice = &self.dice;
        if sqe.opcode() == opcode::AsyncCancel::CODE {
            if sqe.op_flags() != 0 || !dice.falls(FaultKind::LateCancels, number) {
                return Fate::AsItIs;
            }
            let choice = dice.below(3, FaultKind::LateCancels, number);
            if self.held.has_last(sqe.address()) {
                return Fate::AnswersLateCancel {
                    result: [0, -ENOENT, -EALREADY][choice as usize],
                };
            }
            return match choice {
                0 => Fate::AnswersCancel { errno_if_found: EALREADY },
                _ => Fate::Fails(ENOENT),
            };
        }
        if sqe.buffer_group().is_some() && dice.falls(FaultKind::NoBuffers, number) {
            return Fate::Fails(ENOBUFS);
        }
        if may_be_interrupted(sqe) && dice.falls(FaultKind::Interruptions, number) {
            return Fate::Fails(EINTR);
        }
        Fate::AsItIs
    }

    /// Shortens the transfer of an SQE, if that may be short.
    ///
    /// # Safety
    ///
    /// As for `Ring::push`.
    unsafe fn shorten(&self, number: u64, sqe: &mut Sqe, request: &mut Request) {
        // SAFETY: the caller's promise.
        let Some(transfer) = (unsafe { Transfer::of(sqe) }) else { return };
        let kind = FaultKind::ShortTransfers;
        let choices = transfer.choices();
        // A few bytes find more mistakes, and half of what was asked for is faster.
        let few = self.dice.below(4, kind, number) == 0;
        let choice =
            1 + self.dice.below(if few { choices.min(16) } else { choices }, kind, !number);
        // SAFETY: the request keeps it until the last completion.
        let (kept, before, after) = unsafe { transfer.shorten(sqe, choice) };
        request.kept = kept;
        self.note(format_args!("{} {number}: {after} of {before} bytes", request.name));
    }
}

/// Whether a signal may interrupt an operation before it has done anything, so that it is to be
/// submitted again.
fn may_be_interrupted(sqe: &Sqe) -> bool {
    [
        opcode::Accept::CODE,
        opcode::Recv::CODE,
        opcode::RecvMsg::CODE,
        opcode::Send::CODE,
        opcode::SendMsg::CODE,
        opcode::Read::CODE,
        opcode::Readv::CODE,
        opcode::Write::CODE,
        opcode::Writev::CODE,
        opcode::Splice::CODE,
    ]
    .contains(&sqe.opcode())
}
