//! What the tasks of one thread share: on the owner's thread the ready queue and the list of all
//! tasks, for other threads the inbox.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::process;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
// Not loom's in a model: these order nothing.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::id::TaskId;
use super::inbox::{Inbox, Pushed};
use super::links::Links;
use super::pool::Pool;
use super::ready_queue::ReadyQueue;
use super::running::RuntimeId;
use super::task_list::TaskList;
use super::thread_bound::Returns;
use super::thread_id::ThreadId;
use crate::error::{Incident, IncidentHook};
use crate::trace::SlowPolls;

/// Wakes the owner's sleeping event loop, from any thread.
pub(crate) type Bell = Arc<dyn Fn() + Send + Sync>;

/// Each scheduler reserves ids in blocks of this size. So ids are unique in the process, and a
/// spawn seldom touches a counter that threads share.
const BLOCK: u64 = 1 << 20;

/// Blocks reserved so far.
static BLOCKS: AtomicU64 = AtomicU64::new(0);

/// The shared state of one thread's tasks. Each task's header points to it.
pub(super) struct Scheduler {
    owner: ThreadId,
    pub(super) runtime: RuntimeId,
    pub(super) inbox: Inbox,
    /// Removed when the owner is gone. A handle that was forgotten keeps the scheduler, but must
    /// not keep the descriptor that the bell holds open.
    bell: Mutex<Option<Bell>>,
    incidents: IncidentHook,
    /// The process that made it.
    process: u32,
    /// The values of `ThreadBound`s that other threads have dropped.
    pub(super) returns: Returns,
    pub(super) slow_polls: SlowPolls,
    // The owner's thread only:
    pub(super) ready: ReadyQueue,
    pub(super) listed: TaskList,
    pub(super) pool: Pool,
    /// The newest task's.
    last_id: Cell<u64>,
    /// How many tasks the owner has local references to. Together they keep one reference to the
    /// scheduler.
    tasks: Cell<usize>,
    pub(super) disposals: Disposals,
    /// Whether all tasks are being ended, and each new one at once.
    pub(super) ending: Cell<bool>,
}

/// The state of nested disposals; see `disposal`.
#[derive(Default)]
pub(super) struct Disposals {
    pub(super) depth: Cell<u32>,
    /// Tasks that are disposed of once the innermost disposal has returned. Owns a local reference
    /// to each.
    pub(super) deferred: RefCell<VecDeque<NonNull<Links>>>,
}

// SAFETY: `ready`, `listed`, `pool`, `last_id`, `tasks`, `disposals`, `ending`
// and the cells of `returns` are touched only on the owner's thread: each way to them demands it of
// its callers. The other fields are `Sync`.
unsafe impl Sync for Scheduler {}
// SAFETY: as above. When another thread drops it, the queue, the list and the deferred disposals
// are empty: a local reference to a task would keep the scheduler (`enter`). The pool's memory may
// be freed on any thread.
unsafe impl Send for Scheduler {}

impl Scheduler {
    /// A scheduler owned by the calling thread.
    pub(super) fn new(
        runtime: RuntimeId,
        bell: Bell,
        incidents: IncidentHook,
        slow_polls: SlowPolls,
    ) -> Arc<Self> {
        Arc::new(Self {
            owner: ThreadId::current(),
            runtime,
            inbox: Inbox::new(),
            bell: Mutex::new(Some(bell)),
            incidents,
            process: process::id(),
            returns: Returns::new(),
            slow_polls,
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

    /// Whether this process is not one that was forked from the owner's.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == process::id()
    }

    /// Has the owner look at its other queues, from any thread.
    pub(super) fn notify(&self) {
        match self.inbox.notify() {
            Pushed::OwnerAwake | Pushed::Refused => {}
            Pushed::OwnerSleeps => self.ring(),
        }
    }

    /// Adds a task to the ready queue. Rings if that is watched: the owner is outside of its event
    /// loop, and something else on its thread has woken the task.
    ///
    /// # Safety
    ///
    /// As for [`ReadyQueue::push`], on the owner's thread.
    #[inline]
    pub(super) unsafe fn push_ready(&self, task: NonNull<Links>) {
        // SAFETY: passed on by the caller.
        if unsafe { self.ready.push(task) } {
            self.ring_from_outside();
        }
    }

    #[cold]
    fn ring_from_outside(&self) {
        // Once is enough: the event loop looks at the whole queue.
        self.ready.watch(false);
        self.ring();
    }

    /// Wakes the owner's event loop.
    pub(super) fn ring(&self) {
        // Called with the mutex released. Without a bell the owner is gone, and sleeps no more.
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(bell) = bell {
            bell();
        }
    }

    /// Drops the bell: the owner will not sleep again.
    pub(super) fn remove_bell(&self) {
        drop(self.bell.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub(super) fn report(&self, incident: &Incident) {
        (self.incidents)(incident);
    }

    /// The id for a new task.
    ///
    /// # Safety
    ///
    /// This is the owner's thread.
    #[inline]
    pub(super) unsafe fn next_id(&self) -> TaskId {
        let mut number = self.last_id.get() + 1;
        if number % BLOCK <= 1 {
            // The block is used up, or none has been reserved yet.
            number = BLOCKS.fetch_add(1, Relaxed) * BLOCK + 2;
        }
        self.last_id.set(number);
        TaskId(NonZeroU64::new(number).expect("ids begin at two"))
    }

    /// Counts a new task, whose header is going to point here. [`leave`](Self::leave) is called for
    /// it once.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and the scheduler came from an `Arc` that is alive.
    #[inline]
    pub(super) unsafe fn enter(this: NonNull<Self>) -> NonNull<Self> {
        // SAFETY: alive, by this function's contract.
        let count = unsafe { &this.as_ref().tasks };
        let tasks = count.get();
        count.set(tasks + 1);
        if tasks == 0 {
            // SAFETY: by this function's contract.
            unsafe { Arc::increment_strong_count(this.as_ptr()) };
        }
        this
    }

    /// The owner has no local reference to a task any more.
    ///
    /// # Safety
    ///
    /// This is the owner's thread, and [`enter`](Self::enter) was called for this task.
    pub(super) unsafe fn leave(this: NonNull<Self>) {
        // SAFETY: a task that has entered and not left keeps the scheduler.
        let count = unsafe { &this.as_ref().tasks };
        let tasks = count.get() - 1;
        count.set(tasks);
        if tasks == 0 {
            // SAFETY: the first task that entered made this reference.
            drop(unsafe { Arc::from_raw(this.as_ptr()) });
        }
    }
}
