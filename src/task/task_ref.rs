//! A task as its own thread references it: what may be done with it there.

use std::future::Future;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::cell::allocate;
use super::header::{Header, Phase};
use super::id::TaskId;
use super::join_error::JoinError;
use super::local_waker::LocalWaker;
use super::origin::Origin;
use super::refs::{dec_local, inc_local};
use super::scheduler::Scheduler;
use super::{current, schedule, waker};
use crate::error::{Incident, catch_panic, panic_message};

/// A local reference to a task, on its owner's thread.
pub(crate) struct TaskRef {
    header: NonNull<Header>,
    /// Not for other threads.
    _local: PhantomData<Rc<()>>,
}

impl TaskRef {
    /// Makes a task, and adds it to the list of all tasks and to the ready queue.
    ///
    /// # Safety
    ///
    /// The scheduler came from an `Arc` that is alive, and this is its owner's thread. If the
    /// future borrows, the caller sees to it that [`end`](Self::end) and
    /// [`discard`](Self::discard), or their like, have emptied the cell before the borrow ends.
    #[inline]
    pub(super) unsafe fn new<F: Future>(
        future: F,
        scheduler: NonNull<Scheduler>,
        origin: Origin,
    ) -> Self {
        // SAFETY: by this function's contract.
        let header = unsafe { allocate(future, scheduler, origin) };
        Self { header, _local: PhantomData }
    }

    /// Takes over a local reference.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and the caller passes on a local reference.
    #[inline]
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self { header, _local: PhantomData }
    }

    /// Passes the local reference on to the caller.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    /// Adds a local reference.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and it has a local reference.
    #[inline]
    pub(super) unsafe fn clone_raw(header: NonNull<Header>) -> Self {
        // SAFETY: by this function's contract.
        unsafe { inc_local(header) };
        Self { header, _local: PhantomData }
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: this is a local reference.
        unsafe { self.header.as_ref() }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.header().id
    }

    #[inline]
    pub(crate) fn is_finished(&self) -> bool {
        self.header().has_ended()
    }

    /// Puts the task at the end of the ready queue.
    #[inline]
    pub(crate) fn make_ready(&self) {
        // SAFETY: a `TaskRef` is a local reference, and exists only on the owner's thread.
        unsafe { schedule::make_ready(self.header) };
    }

    /// Has the task's future dropped instead of its next poll. Returns `false` if the task has
    /// ended.
    pub(crate) fn cancel(&self) -> bool {
        if self.is_finished() {
            return false;
        }
        self.header().cancelled.set(true);
        self.make_ready();
        true
    }

    /// Begins the one call that may touch the future. Returns `false` if it must not be touched: a
    /// call further down on this stack is polling or dropping it, or it has been dropped. (A poll
    /// may wake its own task and then end it, which leaves an ended task in the ready queue.)
    #[inline]
    fn enter(&self) -> bool {
        let phase = &self.header().phase;
        let may = phase.get() == Phase::Waiting;
        if may {
            phase.set(Phase::Running);
        }
        may
    }

    /// Polls the task, or ends it if it was cancelled. For the event loop: no other task is being
    /// polled.
    // Inlined: the event loop is compiled for each type of main future, and a call from each copy
    // would save and restore registers at every poll.
    #[inline(always)]
    pub(crate) fn run(&self) {
        if !self.enter() {
            return;
        }
        let header = self.header();
        let poll = || {
            if header.cancelled.get() {
                // SAFETY: this is the owner's thread, and `Phase::Running` was entered.
                unsafe { (header.vtable.cancel)(self.header) };
                return true;
            }
            // SAFETY: the owner has a reference, by this local one, for as long as the waker is
            // used.
            let waker = unsafe { waker::borrowed(self.header) };
            // SAFETY: this is the owner's thread, and `Phase::Running` was entered.
            unsafe { (header.vtable.poll)(self.header, &mut Context::from_waker(&waker)) }
        };
        // SAFETY: `self` is a local reference, on the owner's thread.
        let ended = unsafe { current::with_poll(self.header, || header.traced(poll)) };
        if ended {
            self.settle();
        } else {
            header.phase.set(Phase::Waiting);
        }
    }

    /// Ends the task now, even amid the poll of another. Returns whether it has ended: it cannot
    /// while it is running further down on this stack.
    pub(super) fn end(&self) -> bool {
        let header = self.header();
        header.cancelled.set(true);
        if !self.enter() {
            return self.is_finished();
        }
        // SAFETY: `self` is a local reference, on the owner's thread, and `Phase::Running` was
        // entered.
        unsafe {
            current::with_nested_poll(self.header, || {
                header.traced(|| (header.vtable.cancel)(self.header));
            });
        }
        self.settle();
        true
    }

    /// Completes the end of a task whose outcome is stored: wakes the task that joins it, or drops
    /// the outcome if no handle is left. Not inlined, as most polls end no task.
    #[inline(never)]
    fn settle(&self) {
        let header = self.header();
        header.phase.set(Phase::Ended);
        // SAFETY: this is the owner's thread; a task that has not ended is in its scheduler's list,
        // whose local reference is dropped here. `self` is another.
        unsafe {
            header.scheduler().listed.remove(Header::links(self.header));
            dec_local(self.header);
        }
        if let Some(values) = header.values.take() {
            self.reporting_panics(|| drop(values));
        }
        header.spans.close();
        if !header.joinable.get() {
            self.discard();
        } else if let Some(joiner) = header.joiner.take() {
            self.report_panic(LocalWaker::from_waker(joiner).wake_catching_panic());
        }
    }

    /// Waits for the end of a task that has not ended. Not inlined, so that a join which need not
    /// wait saves no registers.
    #[inline(never)]
    #[track_caller]
    pub(super) fn poll_end(&self, context: &Context<'_>) -> Poll<()> {
        current::check_wait(self.header());
        self.set_joiner(context.waker());
        if !self.is_finished() {
            return Poll::Pending;
        }
        // Cloning the waker is foreign code, which has made the task end: the waker was stored too
        // late.
        self.drop_joiner();
        Poll::Ready(())
    }

    /// Stores the waker of the task that joins this one. The newest counts.
    #[inline]
    fn set_joiner(&self, waker: &Waker) {
        let joiner = &self.header().joiner;
        let old = joiner.take().map(LocalWaker::from_waker);
        let (new, old) = match old {
            Some(old) if old.will_wake(waker) => (old, None),
            old => (LocalWaker::new(waker), old),
        };
        // SAFETY: it stays in the header, which only this type empties, on this thread.
        joiner.set(Some(unsafe { new.into_waker() }));
        // Foreign code, so only now that the new one is stored.
        drop(old);
    }

    /// Drops the waker of the task that joins this one, while its panic can be reported.
    pub(super) fn drop_joiner(&self) {
        if let Some(joiner) = self.header().joiner.take() {
            self.reporting_panics(|| drop(LocalWaker::from_waker(joiner)));
        }
    }

    /// The outcome of a finished task, if it has not been taken.
    ///
    /// # Safety
    ///
    /// `T` is the output of the task's future, and the outcome is neither taken nor discarded while
    /// it is borrowed.
    pub(super) unsafe fn outcome<T>(&self) -> Option<&Result<T, JoinError>> {
        assert!(self.is_finished(), "only a finished task has an outcome");
        // SAFETY: this is the owner's thread, and the task has ended.
        let outcome = unsafe { (self.header().vtable.outcome)(self.header) };
        // SAFETY: it is null or points to the cell's outcome, of this type, which stays there by
        // this function's contract.
        unsafe { outcome.cast::<Result<T, JoinError>>().as_ref() }
    }

    /// Takes the outcome of a finished task.
    ///
    /// # Safety
    ///
    /// `T` is the output of the task's future.
    pub(super) unsafe fn take<T>(&self) -> Result<T, JoinError> {
        assert!(self.is_finished(), "only a finished task has an outcome");
        let mut outcome = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: this is the owner's thread, the task has ended, and the target is of the type
        // that the cell's outcome has.
        unsafe { (self.header().vtable.take)(self.header, outcome.as_mut_ptr().cast()) };
        // SAFETY: `take` has written it.
        unsafe { outcome.assume_init() }
    }

    /// Drops the outcome of a finished task. A panic that no join received becomes an incident.
    pub(super) fn discard(&self) {
        debug_assert!(self.is_finished());
        let header = self.header();
        // SAFETY: this is the owner's thread, and the task has ended.
        if let Some(payload) = unsafe { (header.vtable.discard)(self.header) } {
            header.scheduler().report(&Incident::TaskPanicked {
                task: header.name.as_deref().cloned(),
                spawned_at: header.spawned_at,
                message: panic_message(&*payload),
            });
            self.reporting_panics(|| drop(payload));
        }
    }

    /// Runs foreign code; its panic is caught and becomes an incident.
    fn reporting_panics(&self, foreign: impl FnOnce()) {
        self.report_panic(catch_panic(foreign));
    }

    fn report_panic(&self, message: Option<String>) {
        if let Some(message) = message {
            self.header().scheduler().report(&Incident::CallbackPanicked { message });
        }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        // SAFETY: a `TaskRef` is a local reference, and exists only on the owner's thread.
        unsafe { Self::clone_raw(self.header) }
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a `TaskRef` is a local reference, and exists only on the owner's thread.
        unsafe { dec_local(self.header) };
    }
}
