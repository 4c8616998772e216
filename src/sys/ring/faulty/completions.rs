//! What happens to a completion of the ring behind: it gets the answer that was decided at its
//! submission, may be the last of its multishot operation, and is held until it is due.

use std::mem;

use super::FaultyRing;
use super::faults::FaultKind;
use super::requests::{self, End, Ending, Fate};
use crate::sys::errno::{ECANCELED, ENOBUFS, ENOENT};
use crate::sys::{Completion, opcode};

/// How many turns late a completion is at most, mostly and now and then.
const DELAYS: [u64; 2] = [8, 64];

/// How many turns late a notification is at most.
const LATE_NOTIFICATION: u64 = 200;

impl FaultyRing {
    /// Takes in what the ring behind has completed.
    pub(super) fn collect(&mut self) {
        let mut arrived = mem::take(&mut self.arrived);
        self.inner.reap_into(&mut arrived);
        for completion in arrived.drain(..) {
            self.take_in(completion);
        }
        self.arrived = arrived;
    }

    fn take_in(&mut self, completion: Completion) {
        let number = completion.user_data;
        if let Some(number) = requests::ended(number) {
            return self.note_ending(number, completion);
        }
        let is_last = !completion.more();
        let Some(request) = self.requests.get_mut(number) else {
            debug_assert!(false, "a request that is over has completed: {completion:?}");
            return;
        };
        let completion = completion.for_user(request.user_data);
        let completion = match request.fate {
            Fate::AsItIs => completion,
            Fate::Fails(errno) => completion.with_result(-errno),
            Fate::AnswersLateCancel { result } => completion.with_result(result),
            Fate::AnswersCancel { errno_if_found } => match completion.errno() {
                None => completion.with_result(-errno_if_found),
                Some(_) => completion,
            },
        };
        if let Some(kept) = &request.kept {
            // SAFETY: the completion has not been reported.
            unsafe { kept.write_back() };
        }
        if let Some(ending) = &mut request.ending {
            if is_last {
                self.end(number, completion);
            } else {
                ending.completions.push(completion);
            }
            return;
        }
        let subject = number << 16 | request.completed & 0xffff;
        let is_ended = request.is_multishot
            && !is_last
            && completion.errno().is_none()
            && self.dice.falls(FaultKind::EarlyEnds, subject);
        if is_ended && self.begin_ending(number, subject, completion) {
            return;
        }
        self.hold(number, completion);
        if is_last {
            self.requests.remove(number);
        }
    }

    /// Ends a multishot operation, whose completion waits for that. Returns whether it can.
    fn begin_ending(&mut self, number: u64, subject: u64, completion: Completion) -> bool {
        let cancel = opcode::AsyncCancel::new(number).build().user_data(requests::ending(number));
        // SAFETY: the SQE points to no memory.
        if !unsafe { self.queue.push_own(&mut *self.inner, &cancel) } {
            return false;
        }
        let Some(request) = self.requests.get_mut(number) else { return false };
        let is_without_buffer =
            request.selects_buffers && self.dice.falls(FaultKind::NoBuffers, subject);
        let end = if is_without_buffer { End::NoBuffer } else { End::WithResult };
        request.ending = Some(Ending { end, completions: vec![completion] });
        let name = request.name;
        self.note(format_args!("multishot {name} {number} ends early: {end:?}"));
        true
    }

    /// A multishot operation that is being ended has completed for the last time.
    fn end(&mut self, number: u64, last: Completion) {
        let Some(request) = self.requests.get_mut(number) else { return };
        let user_data = request.user_data;
        let Some(Ending { end, mut completions }) = request.ending.take() else { return };
        if last.failed_with(ECANCELED) {
            match (end, completions.last_mut()) {
                (End::WithResult, Some(result)) => *result = result.without_more(),
                _ => completions.push(Completion::new(user_data, -ENOBUFS, 0)),
            }
        } else {
            completions.push(last);
        }
        for completion in completions {
            self.hold(number, completion);
        }
        self.requests.remove(number);
    }

    /// The cancel that ends a multishot operation has completed. If it has missed, the operation
    /// goes on.
    fn note_ending(&mut self, number: u64, completion: Completion) {
        if !completion.failed_with(ENOENT) {
            return;
        }
        let ending = self.requests.get_mut(number).and_then(|request| request.ending.take());
        for completion in ending.into_iter().flat_map(|ending| ending.completions) {
            self.hold(number, completion);
        }
    }

    /// Holds a completion until it is due.
    fn hold(&mut self, number: u64, completion: Completion) {
        let Some(request) = self.requests.get_mut(number) else { return };
        let (group, name) = (request.group, request.name);
        let subject = number << 16 | request.completed & 0xffff;
        request.completed += 1;
        let dice = &self.dice;
        let is_notification = completion.is_notification();
        let late = if is_notification {
            let kind = FaultKind::LateNotifications;
            if dice.falls(kind, subject) { dice.below(LATE_NOTIFICATION, kind, subject) } else { 0 }
        } else if dice.falls(FaultKind::Delays, subject) {
            let limit = DELAYS[usize::from(dice.below(16, FaultKind::Delays, subject) == 0)];
            1 + dice.below(limit, FaultKind::Delays, !subject)
        } else {
            0
        };
        if late > 0 {
            self.note(format_args!("{name} {number}: completes {late} turns late"));
        }
        let rank = self.dice.below(u64::MAX, FaultKind::Reordering, subject);
        let due = self.steps + late;
        if is_notification {
            // It comes after the result, and nothing waits for it.
            self.held.add(completion, number, self.held.after(group, due), rank);
        } else {
            self.held.add(completion, group, due, rank);
        }
    }
}
