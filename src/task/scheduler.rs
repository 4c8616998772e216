//! What the tasks of one thread share: on the owner's thread the ready queue and the list of all
//! tasks, elsewhere the inbox.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
// Not one of a model's: it orders nothing.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::TaskId;
use super::disposal::Disposals;
use super::header::{Header, dec_local, dec_ref, inc_local};
use super::inbox::{Inbox, Pushed};
use super::list::TaskList;
use super::pool::Pool;
use super::ready::ReadyQueue;
use super::running::RuntimeId;
use super::thread_id::ThreadId;
use crate::error::{Incident, IncidentHook};

/// Ends the owner's sleep, from any thread.
pub(crate) type Bell = Arc<dyn Fn() + Send + Sync>;

/// Shards take numbers for their tasks in blocks of this size, so that no two tasks of the process
/// have the same and a spawn seldom touches what threads share.
const BLOCK: u64 = 1 << 20;

/// Blocks taken so far.
static BLOCKS: AtomicU64 = AtomicU64::new(0);

/// A thread's tasks as seen from their headers.
pub(super) struct Scheduler {
    owner: ThreadId,
    pub(super) runtime: RuntimeId,
    pub(super) inbox: Inbox,
    /// Until the owner is gone: what outlives it, a handle that was forgotten for one, keeps the scheduler,
    /// but not what the bell holds open.
    bell: Mutex<Option<Bell>>,
    incidents: IncidentHook,
    // The owner's thread only:
    pub(super) ready: ReadyQueue,
    pub(super) listed: TaskList,
    pub(super) pool: Pool,
    /// The number of the newest task.
    last_id: Cell<u64>,
    /// How many tasks the owner holds. They keep one reference to the scheduler together.
    tasks: Cell<usize>,
    pub(super) disposals: Disposals,
    /// Whether all tasks are being ended, and with them new ones.
    pub(super) ending: Cell<bool>,
}

// SAFETY: `ready`, `listed`, `pool`, `last_id`, `tasks`, `disposals` and `ending` are touched only on the
// owner's thread, by methods that demand it of their callers; the rest is `Sync`.
unsafe impl Sync for Scheduler {}
// SAFETY: as above. Dropped elsewhere, queue, list and what was put off are empty: each place in them
// is a held task, which would keep the scheduler. The pool's memory may be freed anywhere.
unsafe impl Send for Scheduler {}

impl Scheduler {
    /// A scheduler owned by the calling thread.
    pub(super) fn new(runtime: RuntimeId, bell: Bell, incidents: IncidentHook) -> Arc<Self> {
        Arc::new(Self {
            owner: ThreadId::current(),
            runtime,
            inbox: Inbox::new(),
            bell: Mutex::new(Some(bell)),
            incidents,
            ready: ReadyQueue::default(),
            listed: TaskList::default(),
            pool: Pool::default(),
            last_id: Cell::new(0),
            tasks: Cell::new(0),
            disposals: Disposals::default(),
            ending: Cell::new(false),
        })
    }

    #[inline]
    pub(super) fn is_owned_by_this_thread(&self) -> bool {
        self.owner.is_current()
    }

    fn ring(&self) {
        // Rung when the mutex is free again. Without a bell the owner has gone, and sleeps no more.
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(bell) = bell {
            bell();
        }
    }

    /// The owner sleeps no more.
    pub(super) fn remove_bell(&self) {
        drop(self.bell.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(super) fn report(&self, incident: &Incident) {
        (self.incidents)(incident);
    }

    /// A new task's number.
    ///
    /// # Safety
    ///
    /// This is the owner's thread.
    #[inline]
    pub(super) unsafe fn next_id(&self) -> TaskId {
        let mut number = self.last_id.get() + 1;
        if number % BLOCK <= 1 {
            // The block is used up, or there is none yet.
            number = BLOCKS.fetch_add(1, Relaxed) * BLOCK + 2;
        }
        self.last_id.set(number);
        TaskId(NonZeroU64::new(number).expect("numbers begin at two"))
    }

    /// The owner holds a new task: it is to point to the scheduler, and to [`leave`](Self::leave) it
    /// once.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and the scheduler came from an `Arc` that is alive.
    #[inline]
    pub(super) unsafe fn enter(this: NonNull<Self>) -> NonNull<Self> {
        // SAFETY: the caller says so.
        let count = unsafe { &this.as_ref().tasks };
        let held = count.get();
        count.set(held + 1);
        if held == 0 {
            // SAFETY: as above.
            unsafe { Arc::increment_strong_count(this.as_ptr()) };
        }
        this
    }

    /// The owner holds a task no more.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and each call has its own [`enter`](Self::enter).
    pub(super) unsafe fn leave(this: NonNull<Self>) {
        // SAFETY: whoever has entered has kept the scheduler up to here.
        let count = unsafe { &this.as_ref().tasks };
        let held = count.get() - 1;
        count.set(held);
        if held == 0 {
            // SAFETY: the first who entered has made this reference.
            drop(unsafe { Arc::from_raw(this.as_ptr()) });
        }
    }

    /// Puts a task at the end of the ready queue, unless it stands there or has ended.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and the task is valid.
    #[inline]
    pub(super) unsafe fn make_ready(&self, task: NonNull<Header>) {
        // SAFETY: the caller says so.
        let header = unsafe { task.as_ref() };
        if !header.has_ended() && !header.queued.replace(true) {
            // SAFETY: the list holds a task that has not ended. The new hold goes to the queue, where
            // the task does not stand.
            unsafe {
                inc_local(task);
                self.ready.push(task);
            }
        }
    }

    /// [`make_ready`](Self::make_ready) with a hold for the place in the queue.
    ///
    /// # Safety
    ///
    /// As for [`make_ready`](Self::make_ready); the task has not ended, and the caller gives away a
    /// hold.
    #[inline]
    pub(super) unsafe fn make_ready_owned(&self, task: NonNull<Header>) {
        // SAFETY: the caller says so.
        if unsafe { task.as_ref() }.queued.replace(true) {
            // SAFETY: the hold was given; the list has another.
            unsafe { dec_local(task) };
        } else {
            // SAFETY: the hold goes to the queue, where the task does not stand.
            unsafe { self.ready.push(task) };
        }
    }

    /// Puts a task into the inbox and rings if the owner sleeps.
    ///
    /// # Safety
    ///
    /// The caller gives away a reference (not its only one: the scheduler must outlive this call), and
    /// has set the task's `in_inbox`.
    pub(super) unsafe fn deliver(&self, task: NonNull<Header>) {
        // SAFETY: passed on by the caller.
        match unsafe { self.inbox.push(task) } {
            Pushed::Quietly => {}
            Pushed::OwnerSleeps => self.ring(),
            // SAFETY: the reference was not taken.
            Pushed::Refused => unsafe { dec_ref(task) },
        }
    }
}
