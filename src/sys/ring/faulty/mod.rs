//! A ring in front of another, which makes faults on purpose: all that a kernel may do and seldom
//! does (feature `faults`).
//!
//! It queues SQEs itself, decides what is to happen to each, and passes them on at an enter, some
//! of them changed: a transfer asks for less (`transfers`), or a no-op is in its place, so that it
//! fails. What completes goes through `held`, which delays and reorders it. Multishot operations
//! are ended by cancels of its own (`requests`, `Ending`). Which fault is made when is decided by
//! a seed (`dice`), and written down (`log`).
//!
//! # What it must not do
//!
//! - Report a last completion while the ring behind it may access the operation's memory. So it
//!   never makes up a last completion of what it has passed on.
//! - Hold anything for ever. Each delay is a number of *steps*, that is of reapings, of which the
//!   event loop makes one a turn; and while anything is held, an enter does not wait. What the
//!   kernel does not find, the driver asks for again.
//! - Answer as no kernel would. `ECANCELED` comes only from cancels of the driver; one that misses
//!   says `ENOENT`. The completions of a chain stay in order, and so do those of a socket's
//!   transfers: the kernel posts each when it has made it.

mod behind;
mod dice;
mod faults;
mod held;
mod inline;
mod log;
mod queue;
mod requests;
mod transfers;

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::time::Duration;
use std::{io, mem, slice, thread};

use libc::EALREADY;

pub(crate) use behind::Behind;
use dice::Dice;
pub use faults::{FaultKind, Faults};
use held::Held;
pub(crate) use inline::InlineFaults;
pub use log::FaultLog;
use queue::{Passed, Queue};
use requests::{End, Ending, Fate, Request, Requests};
use transfers::Transfer;

use super::interface::{Entered, Full, Wait};
use crate::sys::bypass::Bypasses;
use crate::sys::errno::{EAGAIN, EBUSY, ECANCELED, EINTR, ENOBUFS, ENOENT, ENOMEM, ETIME};
use crate::sys::{BufferRing, Completion, RingKind, Sqe, Submission, opcode};

/// How many turns late a completion is at most, mostly and now and then.
const DELAYS: [u64; 2] = [8, 64];

/// How many turns late a notification is at most.
const LATE_NOTIFICATION: u64 = 200;

/// How long an enter waits that may not wait as long as it was told.
const SHORT_WAIT: Duration = Duration::from_micros(100);

/// How often in a row an enter is refused, or something to collect is not shown.
const IN_A_ROW: u32 = 3;

pub(crate) struct FaultyRing {
    inner: Box<dyn Behind>,
    dice: Dice,
    log: FaultLog,
    queue: Queue,
    requests: Requests,
    held: Held,
    /// How often completions have been reaped.
    steps: u64,
    enters: u64,
    refused_in_a_row: u32,
    /// How often it was asked whether there is something to collect.
    looks: u64,
    hidden_in_a_row: u32,
    /// Whether an eventfd is signalled: then what is not shown would be missed.
    is_signalling: bool,
    /// A list to use again.
    arrived: Vec<Completion>,
}

impl FaultyRing {
    /// In front of `inner`.
    pub(super) fn new(inner: Box<dyn Behind>, faults: &Faults) -> Self {
        faults.log().begin(faults.seed());
        Self {
            inner,
            dice: Dice::new(faults.clone()),
            log: faults.log().clone(),
            queue: Queue::default(),
            requests: Requests::default(),
            held: Held::default(),
            steps: 0,
            enters: 0,
            refused_in_a_row: 0,
            looks: 0,
            hidden_in_a_row: 0,
            is_signalling: false,
            arrived: Vec::new(),
        }
    }

    /// Writes down what was done.
    fn note(&self, what: std::fmt::Arguments<'_>) {
        self.log.add(format!("turn {}: {what}", self.steps));
    }

    /// Decides what becomes of an SQE, and returns what is to be submitted. `chain` is the number
    /// of the first SQE of its chain.
    ///
    /// # Safety
    ///
    /// As for `Ring::push`.
    unsafe fn admit(&mut self, submission: &Submission, chain: Option<u64>) -> Submission {
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
        // SAFETY: what is kept is, until the last completion.
        let (kept, before, after) = unsafe { transfer.shorten(sqe, choice) };
        request.kept = kept;
        self.note(format_args!("{} {number}: {after} of {before} bytes", request.name));
    }

    /// Takes in what the ring behind has completed.
    fn collect(&mut self) {
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

    /// Whether an enter is refused, with which errno.
    fn refusal(&mut self) -> Option<i32> {
        let is_refused = self.dice.falls(FaultKind::RefusedEnters, self.enters)
            && self.dice.below(8, FaultKind::RefusedEnters, self.enters) == 0
            && self.refused_in_a_row < IN_A_ROW;
        let errno = match self.dice.below(2, FaultKind::RefusedEnters, !self.enters) {
            _ if !is_refused => None,
            _ if self.held.is_overflown() => Some(EBUSY),
            _ if self.queue.is_empty() => None,
            0 => Some(EAGAIN),
            _ => Some(ENOMEM),
        };
        self.refused_in_a_row = if errno.is_some() { self.refused_in_a_row + 1 } else { 0 };
        errno
    }

    /// How long an enter waits that was told to wait, and whether a signal is to end the wait.
    fn wait(&self, wait: Wait, has_left_some: bool) -> (Wait, bool) {
        if wait == Wait::No || has_left_some {
            // The kernel does not wait if it has not taken all.
            return (Wait::No, false);
        }
        let choice = self.dice.below(4, FaultKind::EarlyReturns, self.enters);
        if !self.held.is_empty() {
            let short = wait.within(Some(SHORT_WAIT));
            return (if choice == 0 { short } else { Wait::No }, false);
        }
        if self.dice.falls(FaultKind::EarlyReturns, self.enters) {
            // Only a call that submits nothing reports a signal.
            return (Wait::No, choice == 0 && self.queue.is_empty());
        }
        (wait, false)
    }
}

impl Drop for FaultyRing {
    fn drop(&mut self) {
        // What is in flight may still be accessed, as the driver's memory may.
        self.requests.drain().for_each(|request| mem::forget(request.kept));
        if thread::panicking() {
            self.log.print();
        }
    }
}

/// What the driver asks of any ring; see `Ring` for what each does.
impl FaultyRing {
    pub(super) unsafe fn push(&mut self, sqe: &Submission) -> Result<(), Full> {
        // SAFETY: passed on by the caller.
        unsafe { self.push_all(slice::from_ref(sqe)) }
    }

    pub(super) unsafe fn push_all(&mut self, sqes: &[Submission]) -> Result<(), Full> {
        if self.queued() + sqes.len() > self.capacity() {
            return Err(Full);
        }
        let first = self.requests.next_number();
        let admitted = sqes.iter().map(|sqe| {
            // A timeout's completion has no place in the order of the chain.
            let is_timeout = Sqe::of(sqe).opcode() == opcode::LinkTimeout::CODE;
            let chain = match sqes {
                [_] => None,
                _ if is_timeout => Some(self.requests.next_number()),
                _ => Some(first),
            };
            // SAFETY: passed on by the caller.
            unsafe { self.admit(sqe, chain) }
        });
        let admitted = admitted.collect();
        self.queue.add(admitted);
        Ok(())
    }

    pub(super) fn kind(&self) -> RingKind {
        self.inner.kind()
    }

    pub(super) fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    pub(super) fn queued(&mut self) -> usize {
        self.queue.len() + self.inner.queued().saturating_sub(self.queue.own())
    }

    pub(super) fn has_deferred(&mut self) -> bool {
        self.looks += 1;
        let is_hidden = !self.is_signalling
            && self.hidden_in_a_row < IN_A_ROW
            && self.dice.falls(FaultKind::LateSignals, self.looks);
        self.hidden_in_a_row = if is_hidden { self.hidden_in_a_row + 1 } else { 0 };
        !is_hidden && (self.queue.own() > 0 || self.inner.has_deferred())
    }

    pub(super) fn is_overflown(&mut self) -> bool {
        self.held.is_overflown() || self.inner.is_overflown()
    }

    pub(super) fn has_completions(&mut self) -> bool {
        !self.held.is_empty() || self.inner.has_completions()
    }

    pub(super) fn signal_by(&mut self, counter: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        self.is_signalling = true;
        self.inner.signal_by(counter)
    }

    pub(super) fn enter(&mut self, wait: Wait) -> Entered {
        self.enters += 1;
        if let Some(errno) = self.refusal() {
            self.note(format_args!("enter {}: errno {errno}", self.enters));
            return Entered { taken: 0, outcome: Err(io::Error::from_raw_os_error(errno)) };
        }
        let Passed { left, of_chain } =
            self.queue.pass_on(&mut *self.inner, &self.dice, self.enters);
        if let Some(first) = of_chain {
            self.note(format_args!("enter {}: a chain is split after {first}", self.enters));
        }
        if left > 0 {
            self.note(format_args!("enter {}: {left} SQEs are not taken", self.enters));
        }
        let (until, is_interrupted) = self.wait(wait, left > 0);
        if until != wait && self.held.is_empty() && left == 0 {
            let how = if is_interrupted { "EINTR" } else { "without a completion" };
            self.note(format_args!("enter {}: the wait ends early, {how}", self.enters));
        }
        let Entered { taken, outcome } = self.inner.enter(until);
        self.held.flush();
        let outcome = match outcome {
            Ok(()) if is_interrupted => Err(io::Error::from_raw_os_error(EINTR)),
            // It was not told to wait for so short a time.
            Err(error) if until != wait && error.raw_os_error() == Some(ETIME) => Ok(()),
            outcome => outcome,
        };
        Entered { taken: self.queue.note_taken(taken), outcome }
    }

    pub(super) fn forget(&mut self, fd: RawFd) {
        self.inner.forget(fd);
    }

    pub(super) fn reap(&mut self, sink: impl FnMut(Completion)) {
        let mut due = Vec::new();
        self.reap_due(&mut due);
        due.into_iter().for_each(sink);
    }

    fn reap_due(&mut self, due: &mut Vec<Completion>) {
        self.steps += 1;
        self.collect();
        let overflown = self.held.take_due(self.steps, &self.dice, due);
        if overflown > 0 {
            self.note(format_args!("{overflown} completions wait for the next enter"));
        }
    }

    pub(super) unsafe fn register_buffers(
        &mut self,
        buffers: &BufferRing,
        group: u16,
    ) -> io::Result<()> {
        // SAFETY: passed on by the caller.
        unsafe { self.inner.register_buffers(buffers, group) }
    }

    pub(super) fn release_buffers(&mut self, group: u16) {
        self.inner.release_buffers(group);
    }

    pub(super) fn make_buffer_table(&mut self, slots: u16) -> io::Result<()> {
        self.inner.make_buffer_table(slots)
    }

    pub(super) unsafe fn register_memory(
        &mut self,
        slot: u16,
        start: NonNull<u8>,
        length: usize,
    ) -> io::Result<()> {
        // SAFETY: passed on by the caller.
        unsafe { self.inner.register_memory(slot, start, length) }
    }

    pub(super) fn unregister_memory(&mut self, slot: u16) -> io::Result<()> {
        self.inner.unregister_memory(slot)
    }

    pub(super) fn release_file_table(&mut self) {
        self.inner.release_file_table();
    }

    pub(super) fn allowed_bypasses(&self) -> Bypasses {
        self.inner.allowed_bypasses()
    }

    /// What inline calls are withheld from the driver.
    pub(super) fn inline_faults(&self) -> InlineFaults {
        InlineFaults::new(self.dice.clone())
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
