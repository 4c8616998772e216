//! Everything in flight: the [`SubmissionQueue`] of entries to the kernel and the [`Slots`] of what it has.
//!
//! Nothing in this file runs foreign code.
//!
//! # Entries are never lost
//!
//! A push that finds the submission queue full enters the kernel at once to make room. If the
//! kernel takes nothing (it does not while its own completion backlog is full), the entry waits in
//! user space, before anything newer. A cancel can never be dropped for want of room.

use std::os::fd::RawFd;
use std::time::Duration;
use std::{io, mem, thread};

use super::Metrics;
use super::refusals::Refusals;
use super::slot::{Abandoned, Key, Orphan, State};
use super::slots::Slots;
use super::submission_queue::{Chain, SubmissionQueue};
use crate::error::Incident;
use crate::sys::errno::{
    EACCES, EAGAIN, EBADR, EBUSY, EEXIST, EINTR, ENOMEM, ENOSYS, EPERM, ETIME,
};
use crate::sys::poll::READABLE;
use crate::sys::types::{CancelBuilder, Fd};
use crate::sys::{Completion, Entered, Ring, Submission, Wait, opcode};
use crate::task::LocalWaker;

pub(super) struct Core {
    /// `None` once closed.
    queue: Option<SubmissionQueue>,
    closing: bool,
    /// The ring cannot be entered any more.
    broken: bool,
    slots: Slots,
    refusals: Refusals,
    bell: RawFd,
}

impl Core {
    /// On a ring whose table, if it has one, has so many places.
    pub(super) fn new(ring: Ring, bell: RawFd, file_slots: u32) -> Self {
        let queue = Some(SubmissionQueue::new(ring));
        let (slots, refusals) = (Slots::with_file_slots(file_slots), Refusals::default());
        Self { queue, closing: false, broken: false, slots, refusals, bell }
    }

    /// Queues an entry with a slot in `state`; `None` if the driver is closing.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`].
    pub(super) unsafe fn submit(&mut self, entry: Submission, state: State) -> Option<Key> {
        if self.closing {
            return None;
        }
        let key = self.slots.open(state);
        // SAFETY: the caller keeps the entry's memory.
        unsafe { self.push(entry.user_data(key.user_data())) };
        Some(key)
    }

    /// [`submit`](Self::submit) with a link timeout.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for both entries.
    pub(super) unsafe fn submit_with_timeout(
        &mut self,
        entry: Submission,
        timeout: Submission,
        state: State,
    ) -> Option<Key> {
        if self.closing {
            return None;
        }
        let key = self.slots.open(state);
        self.slots.unattended += 1;
        self.slots.pushed += 2;
        let timeout = timeout.user_data(Key::UNATTENDED.user_data());
        // SAFETY: the caller keeps the entries' memory.
        unsafe { self.push_chain(Chain::linked(entry.user_data(key.user_data()), timeout)) };
        Some(key)
    }

    /// Queues an entry that points to no memory and whose completion says nothing.
    fn push_unattended(&mut self, entry: Submission, key: Key) {
        self.slots.unattended += 1;
        // SAFETY: callers pass entries that point to no memory.
        unsafe { self.push(entry.user_data(key.user_data())) };
    }

    fn push_cancel(&mut self, key: Key) {
        let cancel = opcode::AsyncCancel::new(key.user_data()).build();
        self.push_unattended(cancel, key.to_cancel());
    }

    /// Takes a free place of the ring's table.
    pub(super) fn alloc_file_slot(&mut self) -> Option<u32> {
        self.slots.free_file_slots.pop()
    }

    /// Queues the entry that closes what stands in a place. Then the place is free.
    pub(super) fn close_file_slot(&mut self, place: u32, entry: Submission) {
        self.push_unattended(entry, Key::to_close(place));
    }

    /// Queues an entry.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`].
    unsafe fn push(&mut self, entry: Submission) {
        self.slots.pushed += 1;
        // SAFETY: passed on by the caller.
        unsafe {
            if self.queue_mut().offer(&entry).is_err() {
                self.push_chain(Chain::Single(entry));
            }
        }
    }

    /// Queues a chain, which has been counted, and makes room for it if it must.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for each entry.
    #[cold]
    unsafe fn push_chain(&mut self, chain: Chain) {
        // SAFETY: passed on by the caller.
        unsafe {
            if self.queue_mut().offer_chain(&chain).is_ok() {
                return;
            }
            if !self.queue_mut().has_backlog() {
                self.enter(Wait::No);
                if self.queue_mut().offer_chain(&chain).is_ok() {
                    return;
                }
            }
            self.queue_mut().defer(chain);
        }
    }

    fn queue_mut(&mut self) -> &mut SubmissionQueue {
        self.queue.as_mut().expect("entries are queued only while the ring is open")
    }

    /// Submits, waits as told unless something is at hand already, and reaps. Enters the kernel
    /// only if there is a reason to. Says whether anything is at hand now.
    pub(super) fn turn(&mut self, wait: Wait) -> bool {
        let Some(queue) = &mut self.queue else { return false };
        queue.feed();
        if wait != Wait::No {
            // It may have to enter to make room, and so bring something to hand.
            self.arm_bell();
        }
        let at_hand = self.queue_mut().has_backlog() || self.slots.has_aftermath();
        let wait = if at_hand { Wait::No } else { wait };
        let queue = self.queue_mut();
        let reaped = if wait != Wait::No || queue.is_worth_entering() {
            self.enter(wait)
        } else {
            self.reap()
        };
        if cfg!(debug_assertions) && !self.broken {
            let queued = self.queue_mut().len();
            self.slots.audit(queued);
        }
        at_hand || reaped > 0
    }

    /// Sees to it that a ring of the bell ends the wait.
    fn arm_bell(&mut self) {
        if !self.slots.bell_armed && !self.closing {
            self.slots.bell_armed = true;
            let poll = opcode::PollAdd::new(Fd(self.bell), READABLE).multi(true).build();
            self.push_unattended(poll, Key::BELL);
        }
    }

    /// Enters the kernel, answers its errors, and reaps. Says how many completions there were.
    ///
    /// | errno            | reason                                     | answer                        |
    /// |------------------|--------------------------------------------|-------------------------------|
    /// | `ETIME`          | the deadline came before any completion    | none                          |
    /// | `EINTR`          | a signal came before any completion        | none: the loop comes again    |
    /// | `EBUSY`          | the kernel's completion backlog is full    | reap; submit in the next turn |
    /// | `EAGAIN`/`ENOMEM`| no memory for the entries                  | reap; if idle, pause a moment |
    /// | others           | see [`dead_end`]                           | panic; while closing, leak    |
    ///
    /// The second and third are counted, and an incident if they go on (`refusals`).
    fn enter(&mut self, wait: Wait) -> usize {
        let queue = self.queue.as_mut().expect("only an open ring is entered");
        self.slots.enters += 1;
        self.slots.overflows += u64::from(queue.is_overflown());
        let Entered { taken, outcome } = queue.enter(wait);
        self.slots.submitted += taken as u64;
        let reaped = self.reap();
        match outcome.map_err(|error| (error.raw_os_error(), error)) {
            Ok(()) | Err((Some(ETIME | EINTR), _)) => self.refusals.end(),
            Err((Some(errno @ (EBUSY | EAGAIN | ENOMEM)), error)) => {
                self.refusals.note(&error);
                if errno != EBUSY && reaped == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            // A panic may be what this runtime is being torn down for; a second would abort.
            Err(_) if self.closing => self.broken = true,
            Err((_, error)) => panic!("{}", dead_end(&error)),
        }
        reaped
    }

    /// Records every completion in the queue and says how many there were.
    fn reap(&mut self) -> usize {
        let queue = self.queue.as_mut().expect("only an open ring is reaped");
        let mut count = 0;
        queue.reap(|completion| {
            count += 1;
            self.slots.record(completion);
        });
        while let Some(key) = self.slots.to_cancel.pop() {
            self.cancel(key);
        }
        count
    }

    pub(super) fn state(&mut self, key: Key) -> &mut State {
        self.slots.state(key)
    }

    pub(super) fn free(&mut self, key: Key) -> State {
        self.slots.free(key)
    }

    /// Takes the result of a one-shot operation, if it is there, and frees the slot.
    pub(super) fn take_completed(&mut self, key: Key) -> Option<Completion> {
        let &mut State::Completed(completion) = self.slots.state(key) else { return None };
        self.slots.free(key);
        Some(completion)
    }

    /// Takes the oldest completion of a multishot operation; `Some(None)` after the last one, which
    /// frees the slot.
    pub(super) fn take_next(&mut self, key: Key) -> Option<Option<Completion>> {
        let State::Multishot(stream) = self.slots.state(key) else {
            unreachable!("only a multishot operation has a next completion");
        };
        if let Some(completion) = stream.take() {
            return Some(Some(completion));
        }
        if !stream.is_exhausted() {
            return None;
        }
        self.slots.free(key);
        Some(None)
    }

    /// The future of an operation in flight is gone, and `keeper` is left for the notice, if one
    /// follows its result. Returns the waker it had left.
    pub(super) fn abandon(
        &mut self,
        key: Key,
        orphan: Box<dyn Orphan>,
        keeper: Option<Box<dyn Orphan>>,
    ) -> Option<LocalWaker> {
        if self.queue.is_none() {
            // The ring was closed over an operation that the kernel would not let go of.
            mem::forget((orphan, keeper));
            return None;
        }
        self.slots.state(key).abandon(orphan, keeper)
    }

    /// Leaves nothing of an operation that points to no memory, and asks the kernel to end it. Returns
    /// what is to be dropped where foreign code may run.
    pub(super) fn discard(&mut self, key: Key) -> State {
        if !self.slots.is_in_flight(key) {
            return self.slots.free(key);
        }
        let state = self.slots.state(key).discard();
        self.cancel(key);
        state
    }

    /// Asks the kernel to end an operation, if it is in flight.
    pub(super) fn cancel(&mut self, key: Key) {
        if self.queue.is_some() && self.slots.is_in_flight(key) {
            self.push_cancel(key);
        }
    }

    /// Whether [`take_next`](Self::take_next) would give something.
    pub(super) fn has_next(&mut self, key: Key) -> bool {
        matches!(self.slots.state(key), State::Multishot(stream) if !stream.is_waiting())
    }

    pub(super) fn record_wake(&mut self, waker: LocalWaker) {
        self.slots.woken.push(waker);
    }

    /// Takes the lists of what reaping recorded; `wakers` is empty and is left as the next list.
    pub(super) fn take_aftermath(&mut self, wakers: &mut Vec<LocalWaker>) -> Vec<Abandoned> {
        mem::swap(wakers, &mut self.slots.woken);
        mem::take(&mut self.slots.settling)
    }

    /// How many buffers the kernel has picked since the last call.
    pub(super) fn take_provided_count(&mut self) -> u16 {
        self.slots.take_provided_count()
    }

    /// Gives memory back that is not needed any more.
    pub(super) fn trim(&mut self) {
        self.slots.trim();
        self.queue.iter_mut().for_each(SubmissionQueue::trim);
    }

    /// Whether [`take_report`](Self::take_report) would give something.
    pub(super) fn has_report(&self) -> bool {
        self.refusals.is_due()
    }

    /// An incident to report when nothing is borrowed.
    pub(super) fn take_report(&mut self) -> Option<Incident> {
        self.refusals.take_report()
    }

    pub(super) fn metrics(&mut self) -> Metrics {
        let queued = self.queue.as_mut().map_or(0, SubmissionQueue::len);
        let slots = &self.slots;
        Metrics {
            submitted: slots.submitted,
            completed: slots.completed,
            in_kernel: slots.submitted - slots.completed,
            refused_enter_calls: self.refusals.count(),
            queued: queued as u64,
            cq_overflows: slots.overflows,
            enter_calls: slots.enters,
            ..Metrics::default()
        }
    }

    // What follows is teardown; `close.rs` says how it goes.

    /// From here on nothing new is taken.
    pub(super) fn refuse(&mut self) {
        self.closing = true;
    }

    /// The ring, while it is open.
    pub(super) fn ring(&mut self) -> Option<&mut Ring> {
        self.queue.as_mut().map(SubmissionQueue::ring)
    }

    pub(super) fn is_queue_empty(&mut self) -> bool {
        self.queue.as_mut().is_none_or(|queue| queue.len() == 0)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// How many entries the kernel has not let go of.
    pub(super) fn in_flight(&self) -> usize {
        self.slots.in_flight()
    }

    /// How many of those someone may ask about.
    pub(super) fn attended(&self) -> usize {
        self.slots.attended()
    }

    /// Asks the kernel to cancel everything: with one entry if it can, else with one for each.
    pub(super) fn cancel_everything(&mut self, at_once: bool) {
        if at_once {
            let everything = CancelBuilder::any().all();
            let cancel = opcode::AsyncCancel2::new(everything).build();
            self.push_unattended(cancel, Key::UNATTENDED);
            return;
        }
        let slots = self.slots.entries.iter().filter(|(_, slot)| slot.state.in_flight());
        let keys =
            slots.map(|(index, slot)| Key { index: index as u32, generation: slot.generation });
        for key in keys.collect::<Vec<_>>() {
            self.push_cancel(key);
        }
        if self.slots.bell_armed {
            self.push_cancel(Key::BELL);
        }
    }

    /// Closes the ring and leaks what the kernel may still touch.
    pub(super) fn shut(&mut self) {
        self.slots.leak_abandoned();
        self.queue = None;
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // If it was not shut, because something panicked on the way there, the kernel may still
        // touch what abandoned operations left.
        self.slots.leak_abandoned();
    }
}

/// Why a ring cannot be entered any more, as far as the error tells, and what to do about it.
fn dead_end(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(EBADR) => {
            "the kernel ran out of memory and dropped completions (EBADR), so that futures \
                        would wait for ever"
                .to_owned()
        }
        Some(EPERM | EACCES | ENOSYS) => format!(
            "io_uring_enter is forbidden since this runtime was made ({error}): a sandbox that a \
             process enters while a runtime is there, such as a seccomp filter, must allow it"
        ),
        Some(EEXIST) => format!(
            "this runtime belongs to another process or thread ({error}): a process that was forked \
             makes a runtime of its own, before or after which it never uses its parent's"
        ),
        _ => format!("io_uring_enter failed, which is a bug in annulus: {error}"),
    }
}
