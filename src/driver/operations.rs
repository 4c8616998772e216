//! What the driver does with an operation, from its submission to its last completion.
//!
//! Wakers, orphans and owners are foreign code: they are cloned, settled and dropped while nothing
//! is borrowed.

use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use super::Driver;
use super::key::Key;
use super::slot::{Detached, Orphan, State};
use super::slots::{Polled, Slots};
use crate::sys::errno::ECANCELED;
use crate::sys::{Completion, Submission};
use crate::task::{LocalWaker, coop};

impl Driver {
    /// Queues an operation that completes once, and returns its slot. A linked timeout cancels it
    /// in the kernel. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// What the SQEs point to stays valid and untouched until the operation's completion has been
    /// taken from the slot, or is kept by the orphan given to
    /// [`orphan`](Self::orphan).
    pub(crate) unsafe fn submit(
        &self,
        sqe: Submission,
        linked_timeout: Option<Submission>,
        waker: &Waker,
    ) -> Option<Key> {
        // A closed driver keeps no waker: dropping one is foreign code.
        if self.is_closing() {
            return None;
        }
        let state = State::waiting(LocalWaker::new(waker));
        // SAFETY: the caller keeps the SQEs' memory.
        unsafe { self.core.borrow_mut().submit(sqe, linked_timeout, state) }
    }

    /// An SQE has been queued that goes to a device. It is submitted now if the device would have
    /// to wait for long otherwise.
    pub(crate) fn feed_device(&self) {
        self.core.borrow_mut().feed_device();
    }

    /// Queues an operation that completes many times. It is stopped when `bound` completions have
    /// not been taken. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), until the last completion.
    pub(crate) unsafe fn submit_multishot(&self, sqe: Submission, bound: u32) -> Option<Key> {
        // SAFETY: the caller keeps the SQE's memory.
        unsafe { self.core.borrow_mut().submit(sqe, None, State::multishot(bound)) }
    }

    /// Queues an operation that completes with its result, and later with the notification that its
    /// memory is free. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), until the last completion.
    pub(crate) unsafe fn submit_with_notification(&self, sqe: Submission) -> Option<Key> {
        // SAFETY: the caller keeps the SQE's memory.
        unsafe { self.core.borrow_mut().submit(sqe, None, State::with_notification()) }
    }

    /// Queues an operation that no future waits for; `orphan` settles its result. If the driver is
    /// closed, it settles at once with `ECANCELED`.
    ///
    /// # Safety
    ///
    /// What the SQE points to is kept by `orphan`.
    pub(crate) unsafe fn submit_detached(&self, sqe: Submission, mut orphan: Box<dyn Orphan>) {
        let mut core = self.core.borrow_mut();
        if core.is_closing() {
            drop(core);
            orphan.settle(Completion::failed(ECANCELED));
            return;
        }
        // SAFETY: the slot keeps the orphan until the SQE's last completion; the kernel does not
        // write to its memory after that (`uring-sys-tests`, freed_buffer_never_written).
        unsafe { core.submit(sqe, None, State::orphaned(orphan)) };
    }

    /// Queues an operation of an object that no future waits for, which takes its completions
    /// itself. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// What the SQE points to stays valid and untouched as long as `owner` lives, or until the last
    /// completion.
    pub(crate) unsafe fn submit_of(&self, sqe: Submission, owner: Rc<dyn Detached>) -> Option<Key> {
        let mut core = self.core.borrow_mut();
        if core.is_closing() {
            drop(core);
            // Foreign code, if this is the last reference.
            drop(owner);
            return None;
        }
        // SAFETY: the slot keeps the owner until the SQE's last completion; the kernel does not
        // access its memory after that (`uring-sys-tests`, freed_buffer_never_written).
        unsafe { core.submit(sqe, None, State::Detached(owner)) }
    }

    /// Has an object submit what it has staged, at the end of this turn.
    pub(crate) fn stage(&self, owner: Rc<dyn Detached>) {
        self.staged.add(owner);
    }

    /// Polls a one-shot operation for its result, which frees the slot.
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Poll<Completion> {
        self.poll_slots(waker, |slots, clone| slots.poll(key, waker, clone)).map(taken)
    }

    /// Polls a multishot operation for its next completion; `None` after the last one, which frees
    /// the slot.
    pub(crate) fn poll_next(&self, key: Key, waker: &Waker) -> Poll<Option<Completion>> {
        self.poll_slots(waker, |slots, clone| slots.poll_next(key, waker, clone, || true))
            .map(taken)
    }

    /// [`poll_next`](Self::poll_next) at the cost of the task's budget: where that is spent, a
    /// completion stays in the slot until the task is polled again.
    #[inline]
    pub(crate) fn poll_next_within_budget(
        &self,
        key: Key,
        context: &Context<'_>,
    ) -> Poll<Option<Completion>> {
        let waker = context.waker();
        let poll =
            |slots: &mut Slots, clone: &mut _| slots.poll_next(key, waker, clone, coop::try_spend);
        match ready!(self.poll_slots(waker, poll)) {
            Some(next) => Poll::Ready(next),
            None => {
                // The budget is spent, so this wakes the task, to be polled again later.
                ready!(coop::poll_spend(context));
                self.poll_next(key, waker)
            }
        }
    }

    /// Polls a slot, and stores a clone of the waker in it while it has no completion. `None` if a
    /// completion is there but `poll` withheld it.
    #[inline]
    fn poll_slots<T>(
        &self,
        waker: &Waker,
        poll: impl Fn(&mut Slots, &mut Option<LocalWaker>) -> Polled<T>,
    ) -> Poll<Option<T>> {
        let mut clone = None;
        loop {
            let polled = poll(&mut self.core.borrow_mut().slots, &mut clone);
            // Cloning and dropping wakers is foreign code: never while the core is borrowed.
            match polled {
                Polled::Ready(taken) => return Poll::Ready(Some(taken)),
                Polled::Pending(old) => {
                    drop(old);
                    return Poll::Pending;
                }
                Polled::NeedsWaker => clone = Some(LocalWaker::new(waker)),
                Polled::Withheld => return Poll::Ready(None),
            }
        }
    }

    /// Takes the result of a one-shot operation if it has completed, and then frees the slot.
    pub(crate) fn try_take(&self, key: Key) -> Option<Completion> {
        self.core.borrow_mut().slots.take_completed(key)
    }

    /// Takes the oldest completion of a multishot operation, if there is one.
    pub(crate) fn try_next(&self, key: Key) -> Option<Completion> {
        self.core.borrow_mut().slots.try_next(key)
    }

    /// Frees the slot of a multishot operation whose last completion has been taken.
    pub(crate) fn free_ended(&self, key: Key) {
        let state = self.core.borrow_mut().slots.free(key);
        drop(state);
    }

    /// The future of an operation is gone. Cancels the operation, keeps `orphan` until the kernel
    /// has completed it, and has `orphan` settle the completions that come too late.
    pub(crate) fn orphan(&self, key: Key, orphan: Box<dyn Orphan>) {
        self.keep_or_settle(key, orphan, None);
        self.cancel(key);
    }

    /// Like [`orphan`](Self::orphan), for an operation that a device may be at work on. Then the
    /// kernel does not find it to cancel it, and repeating the cancel would not help: it is not
    /// repeated.
    pub(crate) fn orphan_on_device(&self, key: Key, orphan: Box<dyn Orphan>) {
        self.keep_or_settle(key, orphan, None);
        self.core.borrow_mut().cancel_once(key);
    }

    /// Like [`orphan`](Self::orphan), for an operation whose result has been taken: only its
    /// notification is to come. Nothing is cancelled.
    pub(crate) fn orphan_after_result(&self, key: Key, orphan: Box<dyn Orphan>) {
        self.keep_or_settle(key, orphan, None);
    }

    /// Like [`orphan`](Self::orphan), for an operation whose result comes soon, and a notification
    /// after it at any time. `orphan` settles the result; `keeper` is kept until the notification,
    /// if one follows. Nothing is cancelled.
    pub(crate) fn orphan_until_notified(
        &self,
        key: Key,
        orphan: Box<dyn Orphan>,
        keeper: Box<dyn Orphan>,
    ) {
        self.keep_or_settle(key, orphan, Some(keeper));
    }

    /// Keeps `orphan` and `keeper` if the operation is in flight; else settles what is left at
    /// once.
    fn keep_or_settle(&self, key: Key, orphan: Box<dyn Orphan>, keeper: Option<Box<dyn Orphan>>) {
        let mut core = self.core.borrow_mut();
        if core.slots.state(key).in_flight() {
            let waker = core.orphan(key, orphan, keeper);
            drop(core);
            drop(waker);
        } else {
            let state = core.slots.free(key);
            drop(core);
            state.into_orphaned(orphan).settle();
        }
    }

    /// Like [`orphan`](Self::orphan), for an operation that points to no memory and whose outcome
    /// means nothing any more: it needs no orphan.
    pub(crate) fn orphan_empty(&self, key: Key) {
        let state = self.core.borrow_mut().orphan_empty(key);
        drop(state);
    }

    /// The owner of a multishot operation, which points to no memory, is done with it: cancels it,
    /// if it is in flight.
    pub(crate) fn release_multishot(&self, key: Key) {
        let mut core = self.core.borrow_mut();
        let state = if core.slots.state(key).in_flight() {
            core.orphan_empty(key)
        } else {
            core.slots.free(key)
        };
        drop(core);
        drop(state);
    }

    /// The owner of a detached operation, which points to no memory, is done with it: cancels it,
    /// if it is in flight.
    pub(crate) fn release_detached(&self, key: Key) {
        let mut core = self.core.borrow_mut();
        // It may have ended before its owner knows.
        let state = core.slots.is_in_flight(key).then(|| core.orphan_empty(key));
        drop(core);
        drop(state);
    }

    /// Cancels an operation, if it is in flight. Its completion still goes to its future, or to its
    /// orphan.
    pub(crate) fn cancel(&self, key: Key) {
        self.core.borrow_mut().cancel(key);
    }
}

/// What an unconditional poll has taken.
fn taken<T>(polled: Option<T>) -> T {
    polled.expect("only a poll within a budget withholds a completion")
}
