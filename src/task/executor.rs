//! A thread's tasks, as their owner sees them: it makes them, gives them their turns, and ends them.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use super::header::dec_ref;
use super::inbox::Taken;
use super::loom::Ordering;
use super::running::RuntimeId;
use super::scheduler::{Bell, Scheduler};
use super::task_ref::TaskRef;
use super::{JoinError, JoinHandle, TaskId};
use crate::error::IncidentHook;

/// Where a task comes from, which it knows all its life.
pub(crate) struct Origin {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) parent: Option<TaskId>,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// Whether a future is to be boxed where it is first taken by value. Each function that passes it on
/// by value may keep a copy on the stack, above all in a build without optimizations; a few such
/// copies of a large one would overflow it.
pub(crate) const fn is_large<F>() -> bool {
    size_of::<F>() > 16 * 1024
}

/// The owner's end of a scheduler. It never leaves the thread that made it.
pub(crate) struct Executor {
    scheduler: Arc<Scheduler>,
    _local: PhantomData<Rc<()>>,
}

/// Makes a task and gives it a place in the ready queue. Once the scheduler's tasks are being ended it
/// is ended at once.
///
/// # Safety
///
/// The scheduler came from an `Arc` that is alive, and this is its owner.
#[inline]
pub(super) unsafe fn spawn<F>(
    scheduler: NonNull<Scheduler>,
    future: F,
    origin: Origin,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    // SAFETY: passed on by the caller. The future borrows nothing that could end.
    let (task, ending) =
        unsafe { (TaskRef::new(future, scheduler, origin), scheduler.as_ref().ending.get()) };
    if ending {
        task.dispose();
    }
    // SAFETY: the type is that of the future's output, and this is the only handle.
    unsafe { JoinHandle::new(task) }
}

impl Executor {
    /// No tasks yet, of a runtime of the calling thread. The bell ends this thread's sleep, from any other.
    pub(crate) fn new(runtime: RuntimeId, bell: Bell, incidents: IncidentHook) -> Self {
        Self { scheduler: Scheduler::new(runtime, bell, incidents), _local: PhantomData }
    }

    fn scheduler(&self) -> NonNull<Scheduler> {
        NonNull::new(Arc::as_ptr(&self.scheduler).cast_mut()).expect("an Arc is not null")
    }

    /// Makes a task and gives it a place in the ready queue. Once the tasks are being ended it is
    /// ended at once.
    pub(crate) fn spawn<F>(&self, future: F, origin: Origin) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        // SAFETY: this is the owner's thread, and the scheduler is alive.
        unsafe { spawn(self.scheduler(), future, origin) }
    }

    /// Runs `body` with a task whose future may borrow, and gives what the task ended with, or
    /// `None` if `body` returned before that. The future is gone when this returns or unwinds.
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
        // SAFETY: this is the owner's thread. The guard below ends the task, and the handle empties its
        // cell, before this function returns or unwinds; what others keep of it, its header, borrows
        // nothing.
        let task = unsafe { TaskRef::new(future, self.scheduler(), origin) };
        // SAFETY: the type is that of the future's output, and this is the only handle.
        let mut handle = unsafe { JoinHandle::<F::Output>::new(task.clone()) };
        let guard = EndOnDrop(&task);
        body(&task);
        drop(guard);
        handle.take_outcome()
    }

    /// Takes the task that has been ready the longest.
    #[inline]
    pub(crate) fn pop(&self) -> Option<TaskRef> {
        let header = self.scheduler.ready.pop()?;
        // SAFETY: the place's hold becomes the `TaskRef`'s, on the owner's thread.
        let task = unsafe { TaskRef::from_raw(header) };
        task.header().queued.set(false);
        Some(task)
    }

    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.scheduler.ready.is_empty()
    }

    /// How many tasks are ready. It looks at each.
    pub(crate) fn count_ready(&self) -> usize {
        self.scheduler.ready.count()
    }

    /// Says that this thread is going to sleep. If not, tasks have come in.
    pub(crate) fn park(&self) -> bool {
        self.scheduler.inbox.park()
    }

    /// Makes ready what other threads have woken. Ends being parked.
    pub(crate) fn receive(&self) {
        self.admit(self.scheduler.inbox.take());
    }

    /// Ends every task, the oldest first, and from here on every new one at once. A task that is
    /// running, further down on this stack, is left alone: it stays in the list, and so in memory, until
    /// its poll returns, if ever.
    pub(crate) fn end_all(&self) {
        self.scheduler.ending.set(true);
        while let Some(header) = self.scheduler.listed.first_waiting() {
            // SAFETY: the list holds the task, on the owner's thread.
            unsafe { TaskRef::clone_raw(header) }.end();
        }
    }

    /// Takes nothing more from other threads, and lets go of what was ready and of the bell.
    pub(crate) fn close(&self) {
        self.admit(self.scheduler.inbox.close());
        self.scheduler.remove_bell();
        while self.pop().is_some() {}
    }

    /// How many references to the scheduler there are.
    #[cfg(all(test, annulus_loom))]
    pub(super) fn scheduler_references(&self) -> usize {
        Arc::strong_count(&self.scheduler)
    }

    fn admit(&self, taken: Taken) {
        for task in taken {
            // SAFETY: the place in the inbox was a reference.
            let header = unsafe { task.as_ref() };
            // Acquire: the poll to come sees what happened before each wake that found this set.
            header.in_inbox.swap(false, Ordering::AcqRel);
            // SAFETY: this is the owner's thread, and the reference is given up only afterwards.
            unsafe {
                self.scheduler.make_ready(task);
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
            // caller does this: a task with a scope is polled only inside of it.
            std::process::abort();
        }
    }
}
