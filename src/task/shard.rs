//! What the tasks of one thread share: the ready queue and the inbox.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
// Not one of a model's: it orders nothing.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::TaskId;
use super::atomic::Ordering;
use super::cell::Task;
use super::header::{Header, release};
use super::inbox::{Inbox, Pushed, Taken};
use super::thread_id::ThreadId;
use crate::error::{Incident, IncidentHook};

/// How many tasks a shard can number: 2^40. The rest of the number is the shard's.
const TASK_BITS: u32 = 40;

/// Shards made so far, which numbers them.
static SHARDS: AtomicU64 = AtomicU64::new(0);

/// Where a task comes from, which it knows all its life.
pub(crate) struct Origin {
    pub(crate) name: Option<Arc<str>>,
    pub(crate) parent: Option<TaskId>,
    pub(crate) spawned_at: &'static Location<'static>,
}

/// A thread's tasks as seen from their wakers: on the owner's thread a queue, elsewhere an inbox.
pub(crate) struct Shard {
    owner: ThreadId,
    inbox: Inbox,
    /// Ends the owner's sleep, from any thread.
    bell: Box<dyn Fn() + Send + Sync>,
    incidents: IncidentHook,
    ready: ReadyQueue,
    /// The number of the newest task; it begins with the shard's.
    last_id: Cell<u64>,
}

// SAFETY: `ready` and `last_id` are touched only on the owner's thread, which each method that
// does either checks or demands of its caller; the rest is `Sync`.
unsafe impl Sync for Shard {}
// SAFETY: as above. Dropped elsewhere, the queue is empty: `close` has emptied it, or else each of
// its tasks would hold a reference to the shard.
unsafe impl Send for Shard {}

/// A first-in-first-out queue of tasks, linked through their headers. Each place is a reference.
#[derive(Default)]
struct ReadyQueue {
    first: Cell<Option<NonNull<Header>>>,
    last: Cell<Option<NonNull<Header>>>,
}

impl Shard {
    /// A shard owned by the calling thread.
    pub(crate) fn new(bell: Box<dyn Fn() + Send + Sync>, incidents: IncidentHook) -> Arc<Self> {
        Arc::new(Self {
            owner: ThreadId::current(),
            inbox: Inbox::new(),
            bell,
            incidents,
            ready: ReadyQueue::default(),
            last_id: Cell::new((SHARDS.fetch_add(1, Relaxed) + 1) << TASK_BITS),
        })
    }

    pub(super) fn is_owned_by_this_thread(&self) -> bool {
        self.owner == ThreadId::current()
    }

    fn assert_owner(&self) {
        assert!(self.is_owned_by_this_thread(), "a runtime's tasks belong to its own thread");
    }

    pub(super) fn report(&self, incident: &Incident) {
        (self.incidents)(incident);
    }

    pub(super) fn next_id(&self) -> TaskId {
        self.assert_owner();
        let number = self.last_id.get() + 1;
        self.last_id.set(number);
        TaskId(NonZeroU64::new(number).expect("shards are numbered from one"))
    }

    /// Puts a task at the end of the ready queue, unless it stands there or has finished.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and the task is valid.
    pub(super) unsafe fn make_ready(&self, task: NonNull<Header>) {
        // SAFETY: the caller says so.
        let header = unsafe { task.as_ref() };
        if header.queued.get() || header.finished.get() {
            return;
        }
        header.queued.set(true);
        // An unfinished task is held by the runtime, so this is not the first reference.
        header.held.set(header.held.get() + 1);
        header.ready_next.set(None);
        match self.ready.last.replace(Some(task)) {
            // SAFETY: the queue's places are references.
            Some(last) => unsafe { last.as_ref() }.ready_next.set(Some(task)),
            None => self.ready.first.set(Some(task)),
        }
    }

    /// Puts a task into the inbox and rings if the owner sleeps.
    ///
    /// # Safety
    ///
    /// The caller gives away a reference, and has set the task's `in_inbox`.
    pub(super) unsafe fn deliver(&self, task: NonNull<Header>) {
        // SAFETY: passed on by the caller.
        match unsafe { self.inbox.push(task) } {
            Pushed::Quietly => {}
            Pushed::OwnerSleeps => (self.bell)(),
            // SAFETY: the reference was not taken.
            Pushed::Refused => unsafe { release(task) },
        }
    }

    /// Takes the task that has been ready the longest.
    pub(crate) fn pop(&self) -> Option<Task> {
        self.assert_owner();
        let task = self.ready.first.get()?;
        // SAFETY: the queue's places are references.
        let header = unsafe { task.as_ref() };
        self.ready.first.set(header.ready_next.take());
        if self.ready.first.get().is_none() {
            self.ready.last.set(None);
        }
        header.queued.set(false);
        // SAFETY: the place's reference becomes the `Task`'s, on the owner's thread.
        Some(unsafe { Task::from_held(task) })
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.assert_owner();
        self.ready.first.get().is_some()
    }

    /// Says that this thread is going to sleep. If not, tasks have come in.
    pub(crate) fn park(&self) -> bool {
        self.assert_owner();
        self.inbox.park()
    }

    /// Makes ready what other threads have woken. Ends being parked.
    pub(crate) fn receive(&self) {
        self.assert_owner();
        self.admit(self.inbox.take());
    }

    /// Takes nothing more from other threads, and lets go of what was ready.
    pub(crate) fn close(&self) {
        self.assert_owner();
        self.admit(self.inbox.close());
        while self.pop().is_some() {}
    }

    fn admit(&self, taken: Taken) {
        for task in taken {
            // SAFETY: the place in the inbox was a reference.
            let header = unsafe { task.as_ref() };
            // Acquire: the poll to come sees what happened before each wake that found this set.
            header.in_inbox.swap(false, Ordering::AcqRel);
            // SAFETY: this is the owner's thread (both callers check), and the reference is given
            // up only afterwards.
            unsafe {
                self.make_ready(task);
                release(task);
            }
        }
    }
}
