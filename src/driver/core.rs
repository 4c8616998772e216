//! All that is in flight, and the ring that carries it: [`Slots`] and [`SubmissionQueue`].
//!
//! Nothing in this file runs foreign code.
//!
//! # SQEs are never lost
//!
//! A push that finds the submission queue full enters the kernel at once to make room. If the
//! kernel takes nothing (it does not while its own completion backlog is full), the SQE waits in
//! user space, in front of anything newer. A cancel is never dropped for lack of room.

use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;
use std::{io, mem, slice, thread};

use super::counters::Counters;
use super::device_feed::DeviceFeed;
use super::key::Key;
use super::refusals::Refusals;
use super::slot::{Orphan, State};
use super::slots::Slots;
use super::submission_queue::SubmissionQueue;
use crate::sys::errno::{
    EACCES, EAGAIN, EBADR, EBUSY, EEXIST, EINTR, ENOMEM, ENOSYS, EPERM, ETIME,
};
use crate::sys::poll::READABLE;
use crate::sys::types::{CancelBuilder, Fd};
use crate::sys::{Entered, Ring, RingKind, Submission, SubmissionFlags, Wait, opcode};
use crate::task::LocalWaker;

/// How many cancels that missed are repeated at a time. An operation may be between two tries for
/// long: a connect to a Unix socket with a full backlog is tried 128 times before it waits, and a
/// turn carries out only some twenty tries, of all such operations together. Were all cancels
/// repeated in each turn, a thousand dropped connects would keep the loop busy for seconds.
const MAX_REPEATED_CANCELS: usize = 32;

pub(super) struct Core {
    /// `None` once closed.
    queue: Option<SubmissionQueue>,
    closing: bool,
    /// The ring cannot be entered any more.
    broken: bool,
    pub(super) slots: Slots,
    pub(super) refusals: Refusals,
    /// `None` on a ring on which an enter costs more than a device that waits.
    feed: Option<DeviceFeed>,
    counters: Rc<Counters>,
    bell: RawFd,
}

impl Core {
    /// The state of a driver on a ring that has this many file slots.
    pub(super) fn new(ring: Ring, bell: RawFd, counters: Rc<Counters>, file_slots: u32) -> Self {
        let is_cheap = ring.kind() != RingKind::Portable;
        Self {
            queue: Some(SubmissionQueue::new(ring)),
            closing: false,
            broken: false,
            slots: Slots::new(Rc::clone(&counters), file_slots),
            refusals: Refusals::default(),
            feed: is_cheap.then(DeviceFeed::default),
            counters,
            bell,
        }
    }

    /// Queues an SQE with a slot in `state`, and a timeout that is linked to it, if one is given.
    /// `None` if the driver is closing.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for both SQEs.
    #[inline]
    pub(super) unsafe fn submit(
        &mut self,
        sqe: Submission,
        linked_timeout: Option<Submission>,
        state: State,
    ) -> Option<Key> {
        if self.closing {
            return None;
        }
        let key = self.slots.open(state);
        let sqe = sqe.user_data(key.user_data());
        // SAFETY: the caller keeps the SQEs' memory.
        unsafe {
            match linked_timeout {
                None => self.push(&sqe),
                Some(timeout) => self.push_linked(sqe, timeout),
            }
        }
        Some(key)
    }

    /// Queues an SQE that points to no memory and whose completion means nothing to an operation.
    fn push_unattended(&mut self, sqe: Submission, key: Key) {
        self.slots.unattended += 1;
        // SAFETY: callers pass SQEs that point to no memory.
        unsafe { self.push(&sqe.user_data(key.user_data())) };
    }

    fn push_cancel(&mut self, key: Key) {
        let cancel = opcode::AsyncCancel::new(key.user_data()).build();
        self.push_unattended(cancel, key.to_cancel());
    }

    /// Queues the SQE that closes the file in a slot. Then the slot is free. At the runtime's end
    /// the table is closed as a whole.
    pub(super) fn close_file_slot(&mut self, file_slot: u32, sqe: Submission) {
        if !self.closing {
            self.push_unattended(sqe, Key::to_close(file_slot));
        }
    }

    /// Queues an SQE.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`].
    #[inline]
    unsafe fn push(&mut self, sqe: &Submission) {
        self.slots.pushed += 1;
        // SAFETY: passed on by the caller.
        unsafe {
            if self.queue_mut().offer(sqe).is_err() {
                self.push_chain(slice::from_ref(sqe));
            }
        }
    }

    /// Queues an SQE and the timeout that is linked to it.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for both.
    #[cold]
    unsafe fn push_linked(&mut self, sqe: Submission, timeout: Submission) {
        self.slots.unattended += 1;
        self.slots.pushed += 2;
        let timeout = timeout.user_data(Key::UNATTENDED.user_data());
        // SAFETY: passed on by the caller.
        unsafe { self.push_chain(&[sqe.flags(SubmissionFlags::IO_LINK), timeout]) };
    }

    /// Queues linked SQEs, or a single one, that have been counted. Enters the kernel if the ring
    /// has no room for them.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for each SQE.
    #[cold]
    pub(super) unsafe fn push_chain(&mut self, sqes: &[Submission]) {
        // SAFETY: passed on by the caller.
        unsafe {
            if self.queue_mut().offer_chain(sqes).is_ok() {
                return;
            }
            if !self.queue_mut().has_backlog() {
                self.enter(Wait::No);
                if self.queue_mut().offer_chain(sqes).is_ok() {
                    return;
                }
            }
            self.queue_mut().defer(sqes);
        }
    }

    #[inline]
    pub(super) fn queue_mut(&mut self) -> &mut SubmissionQueue {
        self.queue.as_mut().expect("SQEs are queued only while the ring is open")
    }

    /// Submits what is queued, waits as told unless work is pending already, and reaps. Enters the
    /// kernel only if that submits, completes or waits for something. Returns whether any work is
    /// pending.
    #[inline]
    pub(super) fn turn(&mut self, wait: Wait) -> bool {
        let Some(queue) = &mut self.queue else { return false };
        queue.feed();
        if wait != Wait::No {
            // It may have to enter to make room, and so reap completions.
            self.arm_bell();
        }
        let is_pending =
            self.queue_mut().has_backlog() || self.slots.has_aftermath() || self.slots.has_missed();
        let wait = if is_pending { Wait::No } else { wait };
        let queue = self.queue_mut();
        let reaped = if wait != Wait::No || queue.is_worth_entering() {
            self.enter(wait)
        } else {
            self.reap()
        };
        if let Some(feed) = &mut self.feed {
            feed.begin(reaped);
        }
        if cfg!(debug_assertions) && !self.broken {
            let queued = self.queue_mut().len();
            self.slots.audit(queued);
        }
        is_pending || reaped > 0
    }

    /// An SQE for a device is queued: submits it now, if it is time for that.
    pub(super) fn feed_device(&mut self) {
        let is_due = self.feed.as_mut().is_some_and(DeviceFeed::is_due);
        if is_due && !self.closing && !self.queue_mut().has_backlog() {
            self.enter(Wait::No);
        }
    }

    /// Whether the next turn has something to do already, so that no one may wait before it.
    pub(super) fn is_pending(&mut self) -> bool {
        let is_recorded = self.slots.has_aftermath() || self.slots.has_missed();
        is_recorded || self.queue.as_mut().is_some_and(SubmissionQueue::is_pending)
    }

    /// Arms the poll by which the bell ends the wait.
    #[inline]
    fn arm_bell(&mut self) {
        if !self.slots.bell_armed && !self.closing {
            self.slots.bell_armed = true;
            let poll = opcode::PollAdd::new(Fd(self.bell), READABLE).multi(true).build();
            self.push_unattended(poll, Key::BELL);
        }
    }

    /// Enters the kernel, handles its errors, and reaps. Returns how many completions there were.
    ///
    /// | errno             | reason                               | answer                     |
    /// |-------------------|--------------------------------------|----------------------------|
    /// | `ETIME`           | the deadline came first              | none                       |
    /// | `EINTR`           | a signal came first                  | none: the next turn enters |
    /// | `EBUSY`           | the completion backlog is full       | reap; submit in the next turn |
    /// | `EAGAIN`/`ENOMEM` | no memory for the SQEs               | reap; if idle, pause a moment |
    /// | others            | see [`dead_end`]                     | panic; while closing, leak |
    ///
    /// The third and fourth are counted, and become an incident if they last (`refusals`).
    #[inline]
    fn enter(&mut self, wait: Wait) -> usize {
        let queue = self.queue.as_mut().expect("only an open ring is entered");
        self.counters.enter_calls.increment();
        self.counters.cq_overflows.add(queue.is_overflown().into());
        let Entered { taken, outcome } = queue.enter(wait);
        self.counters.submitted.add(taken as u64);
        let reaped = self.reap();
        match outcome.map_err(|error| (error.raw_os_error(), error)) {
            Ok(()) | Err((Some(ETIME | EINTR), _)) => self.refusals.end(),
            Err((Some(errno @ (EBUSY | EAGAIN | ENOMEM)), error)) => {
                self.counters.refused_enter_calls.increment();
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

    /// Records every completion in the queue and returns how many there were.
    #[inline]
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
        for _ in 0..MAX_REPEATED_CANCELS {
            let Some(key) = self.slots.missed.pop_front() else { break };
            self.cancel(key);
        }
        count
    }

    /// The future of an operation in flight is gone; `keeper` remains until the notification, if
    /// one follows the result. Returns the future's waker, to be dropped where foreign code may
    /// run.
    pub(super) fn orphan(
        &mut self,
        key: Key,
        orphan: Box<dyn Orphan>,
        keeper: Option<Box<dyn Orphan>>,
    ) -> Option<LocalWaker> {
        if self.queue.is_none() {
            // The ring was closed over an operation that the kernel did not complete.
            mem::forget((orphan, keeper));
            return None;
        }
        self.slots.state(key).orphan(orphan, keeper)
    }

    /// Cancels an operation that points to no memory and needs no orphan. Returns its previous
    /// state, to be dropped where foreign code may run.
    pub(super) fn orphan_empty(&mut self, key: Key) -> State {
        if !self.slots.is_in_flight(key) {
            return self.slots.free(key);
        }
        let state = self.slots.state(key).orphan_empty();
        self.cancel(key);
        state
    }

    /// Cancels an operation, if it is in flight.
    pub(super) fn cancel(&mut self, key: Key) {
        if self.queue.is_some() && self.slots.is_in_flight(key) {
            self.push_cancel(key);
        }
    }

    /// [`cancel`](Self::cancel) of an orphaned operation, which is not repeated if it misses.
    pub(super) fn cancel_once(&mut self, key: Key) {
        if self.queue.is_some() && self.slots.is_in_flight(key) {
            self.slots.state(key).ignore_missed_cancels();
            self.push_cancel(key);
        }
    }

    /// Gives back memory that is no longer needed.
    pub(super) fn trim(&mut self) {
        self.slots.trim();
        self.queue.iter_mut().for_each(SubmissionQueue::trim);
    }

    /// How many SQEs have not reached the kernel.
    #[inline]
    pub(super) fn queued(&mut self) -> usize {
        self.queue.as_mut().map_or(0, SubmissionQueue::len)
    }

    // What follows is teardown; `teardown.rs` says how it goes.

    /// Refuses new operations from now on.
    pub(super) fn refuse(&mut self) {
        self.closing = true;
    }

    /// The ring, while it is open.
    pub(super) fn ring(&mut self) -> Option<&mut Ring> {
        self.queue.as_mut().map(SubmissionQueue::ring)
    }

    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Cancels everything: with one SQE if the kernel can, else with one for each operation.
    pub(super) fn cancel_everything(&mut self, at_once: bool) {
        if at_once {
            let everything = CancelBuilder::any().all();
            let cancel = opcode::AsyncCancel2::new(everything).build();
            self.push_unattended(cancel, Key::UNATTENDED);
            return;
        }
        for key in self.slots.keys_in_flight().collect::<Vec<_>>() {
            self.push_cancel(key);
        }
        if self.slots.bell_armed {
            self.push_cancel(Key::BELL);
        }
    }

    /// Closes the ring and leaks what the kernel may still access (`uring-sys-tests`,
    /// close_is_no_barrier and worker_writes_after_close).
    pub(super) fn shut(&mut self) {
        self.slots.leak_orphans();
        self.queue = None;
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // If it was not shut, because something panicked on the way there, the kernel may still
        // access the memory of orphans.
        self.slots.leak_orphans();
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
            "entering the ring is forbidden since this runtime was made ({error}): a sandbox that a \
             process enters while a runtime is there, such as a seccomp filter, must allow it"
        ),
        Some(EEXIST) => format!(
            "this runtime belongs to another process or thread ({error}): a process that was forked \
             makes a runtime of its own, before or after which it never uses its parent's"
        ),
        _ => format!(
            "entering the ring failed ({error}): a process must not close descriptors that it has \
             not opened, as closefrom(3) does; if it has not, this is a bug in annulus"
        ),
    }
}
