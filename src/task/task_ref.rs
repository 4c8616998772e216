//! A task as its own thread holds it: what may be done with it there.

use std::future::Future;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::cell::allocate;
use super::executor::Origin;
use super::header::{Header, Phase, dec_local, inc_local};
use super::scheduler::Scheduler;
use super::{JoinError, LocalWaker, TaskId, current, waker};
use crate::error::{Incident, catch_panic, panic_message};

/// A reference to a task on its own thread.
pub(crate) struct TaskRef {
    header: NonNull<Header>,
    /// Not for other threads.
    _local: PhantomData<Rc<()>>,
}

impl TaskRef {
    /// Makes a task, which stands in the list of all and in the ready queue.
    ///
    /// # Safety
    ///
    /// The scheduler came from an `Arc` that is alive, and this is its owner. The future may borrow: then
    /// whoever calls sees to it that [`end`](Self::end) and [`discard`](Self::discard), or their
    /// like, have emptied the cell before the borrow ends.
    #[inline]
    pub(super) unsafe fn new<F: Future>(
        future: F,
        scheduler: NonNull<Scheduler>,
        origin: Origin,
    ) -> Self {
        // SAFETY: passed on by the caller.
        let header = unsafe { allocate(future, scheduler, origin) };
        Self { header, _local: PhantomData }
    }

    /// Takes over one of the owner's holds.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and the hold is the caller's to give.
    #[inline]
    pub(super) unsafe fn from_raw(header: NonNull<Header>) -> Self {
        Self { header, _local: PhantomData }
    }

    /// Gives the hold to the caller.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).header
    }

    /// Adds a hold.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, which holds the task.
    #[inline]
    pub(super) unsafe fn clone_raw(header: NonNull<Header>) -> Self {
        // SAFETY: passed on by the caller.
        unsafe { inc_local(header) };
        Self { header, _local: PhantomData }
    }

    /// The pointer to the whole cell.
    #[inline]
    pub(super) fn pointer(&self) -> NonNull<Header> {
        self.header
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: this is a reference.
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
        // SAFETY: a `TaskRef` exists only on the owner's thread.
        unsafe { self.header().scheduler().make_ready(self.header) };
    }

    /// Puts the task at the end of the ready queue, and this hold with it.
    #[inline]
    pub(super) fn into_ready(self) {
        // The last hold of a task that has ended may be that of the scheduler too: it is given up here,
        // where nothing borrows the scheduler.
        if self.is_finished() {
            return;
        }
        let header = self.into_raw();
        // SAFETY: a `TaskRef` exists only on the owner's thread, and is a hold, which is given away. The
        // list has another, as the task has not ended.
        unsafe { header.as_ref().scheduler().make_ready_owned(header) };
    }

    /// Asks for the task's end at its next turn. Returns whether it has not ended yet.
    pub(crate) fn cancel(&self) -> bool {
        if self.is_finished() {
            return false;
        }
        self.header().cancelled.set(true);
        self.make_ready();
        true
    }

    /// Begins the one call that may touch the future. `false` if it must not be touched: it is being
    /// polled or dropped by a call further down on this stack, or has been dropped. It may have been
    /// woken by the poll that ended it, and stood in the queue since.
    #[inline]
    fn enter(&self) -> bool {
        let phase = &self.header().phase;
        let may = phase.get() == Phase::Waiting;
        if may {
            phase.set(Phase::Running);
        }
        may
    }

    /// Polls the task, or ends it if it was cancelled. For the loop: no other task is being polled.
    // The loop is compiled once for each future that a runtime is started with. A call of this from
    // each would save and restore registers at every poll.
    #[inline(always)]
    pub(crate) fn run(&self) {
        if !self.enter() {
            return;
        }
        let header = self.header();
        let ended = current::with_poll(self, || {
            if header.cancelled.get() {
                // SAFETY: this is the owner's thread, and the phase was entered.
                unsafe { (header.vtable.cancel)(self.header) };
                return true;
            }
            // SAFETY: `self` is a reference for as long as the waker is used.
            let waker = unsafe { waker::borrowed(self.header) };
            // SAFETY: as above.
            unsafe { (header.vtable.poll)(self.header, &mut Context::from_waker(&waker)) }
        });
        if ended {
            self.settle();
        } else {
            header.phase.set(Phase::Waiting);
        }
    }

    /// Ends the task now, whatever it waits for, also amid the turn of another. Returns whether it
    /// has ended: it cannot while it is running further down on this stack.
    pub(super) fn end(&self) -> bool {
        let header = self.header();
        header.cancelled.set(true);
        if !self.enter() {
            return self.is_finished();
        }
        current::with_nested_poll(self, || {
            // SAFETY: this is the owner's thread, and the phase was entered.
            unsafe { (header.vtable.cancel)(self.header) };
        });
        self.settle();
        true
    }

    /// The outcome is there: tell whoever waits for it, or nobody will ever. Not inlined, as most polls
    /// end no task.
    #[inline(never)]
    fn settle(&self) {
        let header = self.header();
        header.phase.set(Phase::Ended);
        // SAFETY: this is the owner's thread; a task that has not ended stands in its scheduler's list, whose
        // hold is given up here. `self` is another.
        unsafe {
            header.scheduler().listed.remove(self.header);
            dec_local(self.header);
        }
        if let Some(values) = header.values.take() {
            self.reporting_panics(|| drop(values));
        }
        if !header.joinable.get() {
            self.discard();
        } else if let Some(joiner) = header.joiner.take() {
            self.report_panic(joiner.wake_catching_panic());
        }
    }

    /// Waits for the end of a task that has not ended. Not inlined, so that a join which need not wait
    /// saves no registers.
    #[inline(never)]
    #[track_caller]
    pub(super) fn poll_end(&self, context: &Context<'_>) -> Poll<()> {
        current::check_wait(self);
        self.set_joiner(context.waker());
        if !self.is_finished() {
            return Poll::Pending;
        }
        // The waker's clone is foreign code, which has had the task end: the waker came too late.
        self.drop_joiner();
        Poll::Ready(())
    }

    /// Keeps the waker of whoever waits for the end. The newest counts.
    #[inline]
    fn set_joiner(&self, waker: &Waker) {
        let joiner = &self.header().joiner;
        // Dropped, which may be foreign code, when the new one is in its place.
        let old = joiner.take();
        if old.as_ref().is_some_and(|old| old.will_wake(waker)) {
            joiner.set(old);
        } else {
            joiner.set(Some(LocalWaker::new(waker)));
        }
    }

    /// Nobody will take the outcome; if it is there already, it is dropped.
    pub(super) fn detach(&self) {
        self.header().joinable.set(false);
        if self.is_finished() {
            self.dispose();
        } else {
            self.drop_joiner();
        }
    }

    /// Drops the waker of whoever waits for the end, while its panic can be reported.
    pub(super) fn drop_joiner(&self) {
        if let Some(joiner) = self.header().joiner.take() {
            self.reporting_panics(|| drop(joiner));
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
        // SAFETY: this is the owner's thread, and the future has ended.
        let outcome = unsafe { (self.header().vtable.outcome)(self.header) };
        // SAFETY: it is null or points to the cell's outcome, of this type, which stays there as the
        // caller says.
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
        // SAFETY: this is the owner's thread, the future has ended, and the target is of the type
        // that the cell's outcome has.
        unsafe { (self.header().vtable.take)(self.header, outcome.as_mut_ptr().cast()) };
        // SAFETY: `take` has written it.
        unsafe { outcome.assume_init() }
    }

    /// Drops the outcome of a finished task. A panic that nobody took becomes an incident.
    pub(super) fn discard(&self) {
        debug_assert!(self.is_finished());
        let header = self.header();
        // SAFETY: this is the owner's thread, and the future has ended.
        if let Some(payload) = unsafe { (header.vtable.discard)(self.header) } {
            header.scheduler().report(&Incident::TaskPanicked {
                task: header.name.as_deref().cloned(),
                spawned_at: header.spawned_at,
                message: panic_message(&*payload),
            });
            self.reporting_panics(|| drop(payload));
        }
    }

    /// Runs foreign code; a panic in it becomes an incident and goes no further.
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
        // SAFETY: a `TaskRef` is a hold, and exists only on the owner's thread.
        unsafe { Self::clone_raw(self.header) }
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: as above; this hold is given up here.
        unsafe { dec_local(self.header) };
    }
}
