//! The owner's end of a scheduler: makes a thread's tasks, hands them out to be polled, and ends
//! them.

use std::future::Future;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use super::handle::JoinHandle;
use super::header::{Header, Phase};
use super::inbox::Received;
use super::join_error::JoinError;
use super::loom::Ordering;
use super::notifier::Notifier;
use super::origin::Origin;
use super::refs::dec_ref;
use super::running::RuntimeId;
use super::schedule::make_ready;
use super::scheduler::{Bell, Scheduler};
use super::spawn::spawn;
use super::task_ref::TaskRef;
use crate::error::IncidentHook;
use crate::trace::SlowPolls;

/// It never leaves the thread that made it, which is the owner of its tasks.
pub(crate) struct Executor {
    scheduler: Arc<Scheduler>,
    _local: PhantomData<Rc<()>>,
}

impl Executor {
    /// An executor for a runtime of the calling thread. Other threads ring the bell to end this
    /// thread's sleep.
    pub(crate) fn new(
        runtime: RuntimeId,
        bell: Bell,
        incidents: IncidentHook,
        slow_polls: SlowPolls,
    ) -> Self {
        let scheduler = Scheduler::new(runtime, bell, incidents, slow_polls);
        Self { scheduler, _local: PhantomData }
    }

    fn scheduler(&self) -> NonNull<Scheduler> {
        NonNull::new(Arc::as_ptr(&self.scheduler).cast_mut()).expect("an Arc is not null")
    }

    pub(super) fn scheduler_arc(&self) -> &Arc<Scheduler> {
        &self.scheduler
    }

    /// Makes a task and queues it. Once the tasks are being ended, it is ended at once.
    pub(crate) fn spawn<F>(&self, future: F, origin: Origin) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        // SAFETY: this is the owner's thread, and the scheduler is alive.
        unsafe { spawn(self.scheduler(), future, origin) }
    }

    /// Runs `body` with a task whose future may borrow. Returns the task's outcome, or `None` if
    /// the task was not over when `body` returned. The future has been dropped when this returns or
    /// unwinds.
    ///
    /// # Panics
    ///
    /// Once the tasks are being ended.
    pub(crate) fn scoped<F: Future>(
        &self,
        future: F,
        origin: Origin,
        body: impl FnOnce(&TaskRef),
    ) -> Option<Result<F::Output, JoinError>> {
        assert!(!self.scheduler.ending.get(), "the runtime is being closed");
        // SAFETY: this is the owner's thread. The guard below ends the task, and the handle empties
        // its cell, before this function returns or unwinds; what others reference, the header,
        // borrows nothing.
        let task = unsafe { TaskRef::new(future, self.scheduler(), origin) };
        // SAFETY: the type is that of the future's output, and this is the only handle.
        let mut handle = unsafe { JoinHandle::<F::Output>::new(task.clone()) };
        let guard = EndOnDrop(&task);
        body(&task);
        drop(guard);
        handle.take_outcome()
    }

    /// Takes the task that has been ready for longest.
    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        let task = self.scheduler.ready.pop()?;
        // SAFETY: the queue's local reference becomes the `TaskRef`'s, on the owner's thread.
        let task = unsafe { TaskRef::from_raw(Header::of(task)) };
        task.header().queued.set(false);
        Some(task)
    }

    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.scheduler.ready.is_empty()
    }

    /// How many tasks are ready. Visits each.
    pub(crate) fn count_ready(&self) -> usize {
        self.scheduler.ready.count()
    }

    /// Sets whether the bell is rung, too, when code of this thread that is outside of the event
    /// loop makes a first task ready.
    pub(crate) fn watch_ready(&self, is_watched: bool) {
        self.scheduler.ready.watch(is_watched);
    }

    /// Announces that this thread is going to sleep. Returns `false` if tasks have arrived: then it
    /// must not.
    pub(crate) fn park(&self) -> bool {
        self.scheduler.inbox.park()
    }

    /// Queues the tasks that other threads have woken. Ends being parked. Returns whether a
    /// [`Notifier`] has notified: then the caller looks at its other queues.
    #[inline]
    #[must_use]
    pub(crate) fn receive(&self) -> bool {
        let received = self.scheduler.inbox.take();
        let is_notified = received.is_notified;
        self.admit(received);
        is_notified
    }

    /// Has [`receive`](Self::receive) return `true` once more.
    pub(crate) fn notify(&self) {
        let _ = self.scheduler.inbox.notify();
    }

    /// The handle by which other threads have this one look at its other queues.
    pub(crate) fn notifier(&self) -> Notifier {
        Notifier::new(Arc::clone(&self.scheduler))
    }

    /// Ends every task, the oldest first, and from here on every new one at once. A task that is
    /// running, further down on this stack, is skipped: it stays in the list, and so in memory,
    /// until its poll returns, if ever.
    pub(crate) fn end_all(&self) {
        self.scheduler.ending.set(true);
        // SAFETY: the list has a local reference to each task in it, and this is the owner's
        // thread.
        let is_waiting = |task| unsafe { Header::of(task).as_ref() }.phase.get() == Phase::Waiting;
        while let Some(task) = self.scheduler.listed.find(is_waiting) {
            // SAFETY: as above.
            unsafe { TaskRef::clone_raw(Header::of(task)) }.end();
        }
    }

    /// Refuses wakes and values from other threads from here on, and drops the values that have
    /// come, the bell, and the references of the ready queue.
    pub(crate) fn close(&self) {
        self.admit(self.scheduler.inbox.close());
        self.close_returns();
        self.scheduler.remove_bell();
        while self.pop().is_some() {}
    }

    /// How many references to the scheduler there are.
    #[cfg(all(test, annulus_loom))]
    pub(super) fn scheduler_references(&self) -> usize {
        Arc::strong_count(&self.scheduler)
    }

    fn admit(&self, received: Received) {
        for links in received {
            let task = Header::of(links);
            // SAFETY: the inbox's reference is this loop's now.
            let header = unsafe { task.as_ref() };
            // Acquire: the poll that follows sees what happened before each wake that found this
            // set.
            header.in_inbox.swap(false, Ordering::AcqRel);
            // SAFETY: this is the owner's thread, and the reference is dropped only afterwards.
            unsafe {
                make_ready(task);
                dec_ref(task);
            }
        }
    }
}

struct EndOnDrop<'a>(&'a TaskRef);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        if !self.0.end() {
            // Its poll is further down on this stack, and the future may borrow what ends above. No
            // caller does this: a scoped task is polled only inside of its scope.
            std::process::abort();
        }
    }
}
