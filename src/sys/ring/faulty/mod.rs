//! A ring in front of another, which makes faults on purpose: all that a kernel may do and seldom
//! does (feature `faults`).
//!
//! It queues SQEs itself, decides what is to happen to each (`admission`), and passes them on at an
//! enter, some of them changed: a transfer asks for less (`transfers`), or a no-op is in its place,
//! so that it fails. Completions (`completions`) go through `held`, which delays and reorders them.
//! Multishot operations are ended by cancels of its own (`requests`, `Ending`). A seed decides
//! which fault is made when (`dice`), and each is written down (`log`).
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

mod admission;
mod behind;
mod completions;
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

pub(crate) use behind::Behind;
use dice::Dice;
pub use faults::{FaultKind, Faults};
use held::Held;
pub(crate) use inline::InlineFaults;
pub use log::FaultLog;
use queue::{Passed, Queue};
use requests::Requests;

use super::interface::{Drained, Entered, Full, Wait};
use crate::sys::bypass::Bypasses;
use crate::sys::errno::{EAGAIN, EBUSY, EINTR, ENOMEM, ETIME};
use crate::sys::{BufferRing, Completion, RingKind, Sqe, Submission, opcode};

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
    /// Whether an eventfd is signalled for each completion. Then none is hidden: an event loop that
    /// waits for the eventfd would miss it.
    is_signalling: bool,
    /// A list to use again.
    arrived: Vec<Completion>,
}

impl FaultyRing {
    /// A ring that makes faults in front of `inner`.
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

    pub(super) fn adopt(&mut self, fd: RawFd) {
        self.inner.adopt(fd);
    }

    pub(super) fn note_drained(&mut self, fd: RawFd, how: Drained) {
        self.inner.note_drained(fd, how);
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
