//! The part of a task that does not depend on its future, and that other threads may hold.
//!
//! # References
//!
//! `references` counts, atomically: each waker; a place in the inbox; and one for the owner's
//! thread as long as it holds any reference at all. The owner's own (the list of tasks, the handle,
//! a place in the ready queue, a [`LocalWaker`]) are counted in `held`, with no
//! atomics. While a task has not ended its list holds it, so `held > 0`.
//!
//! # The scheduler
//!
//! A header points to its scheduler. As long as the owner holds any task, the tasks together keep one
//! reference to the scheduler (`Scheduler::enter`, `Scheduler::leave`), so that to make and to free a task costs
//! no atomic read-modify-write. A header that outlives the owner's holds, because a waker is left,
//! gets a reference of its own (`keeps_scheduler`).
//!
//! # Phases
//!
//! A task waits, runs, or has ended ([`Phase`]). It runs while its future is polled or dropped, which
//! may call anything; whatever would poll or drop the future finds by the phase that it must not. The
//! phase is set in one place, `TaskRef::enter`, and there is no other flag that could differ.
//!
//! # Being queued
//!
//! Apart from its phase, as a task that runs can be woken and has then its place in the queue.
//!
//! A task stands in the ready queue at most once (`queued`, the owner's), and in the inbox at most
//! once (`in_inbox`, atomic). It may stand in both; then it is polled once too often, which is
//! allowed. A wake on the owner's thread so needs no atomic read-modify-write at all.
//!
//! A wake from another thread that finds `in_inbox` set does nothing more: the owner is yet to
//! clear it, by a swap that reads from this very wake, and polls afterwards. So the poll sees
//! whatever the waking thread did before.

use std::cell::Cell;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;

use super::LocalWaker;
use super::cell::Vtable;
use super::context_var::Values;
use super::id::TaskId;
use super::loom::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};
use super::scheduler::Scheduler;
use crate::error::catch_panic;

/// More references than memory could hold: somebody forgets clones in a loop.
const MOST_REFERENCES: u32 = u32::MAX / 2;

/// What may be done with a task's future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It may be polled, or dropped.
    Waiting,
    /// It is being polled or dropped, further down on this stack: it must not be touched.
    Running,
    /// It has been dropped. The outcome is there, or was taken.
    Ended,
}

/// Laid out for the cache: what each turn of a task touches comes first and fits one line.
#[repr(C)]
pub(super) struct Header {
    // Any thread:
    pub(super) refs: AtomicU32,
    // The owner's thread only:
    pub(super) local_refs: Cell<u32>,
    pub(super) queued: Cell<bool>,
    pub(super) cancelled: Cell<bool>,
    pub(super) phase: Cell<Phase>,
    /// Whether a handle may still take the outcome.
    pub(super) joinable: Cell<bool>,
    /// Changed by the owner's thread only, and read by whoever frees the memory after it.
    pub(super) keeps_scheduler: Cell<bool>,
    // Any thread:
    pub(super) in_inbox: AtomicBool,
    // Any thread, never changed:
    pub(super) vtable: &'static Vtable,
    pub(super) scheduler: NonNull<Scheduler>,
    // The owner's thread only:
    pub(super) ready_next: Cell<Option<NonNull<Header>>>,
    pub(super) list_before: Cell<Option<NonNull<Header>>>,
    pub(super) list_after: Cell<Option<NonNull<Header>>>,
    pub(super) joiner: Cell<Option<LocalWaker>>,
    /// Empty once the task has finished, so that no other thread frees it.
    pub(super) values: Cell<Option<Values>>,
    // Any thread:
    pub(super) inbox_next: AtomicPtr<Header>,
    // Any thread, never changed:
    pub(super) id: TaskId,
    pub(super) parent: Option<TaskId>,
    pub(super) spawned_at: &'static Location<'static>,
    /// Boxed, since few tasks have one.
    pub(super) name: Option<Box<Arc<str>>>,
}

impl Header {
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.phase.get() == Phase::Ended
    }

    pub(super) fn scheduler(&self) -> &Scheduler {
        // SAFETY: whoever has a reference to the header keeps the scheduler, see the module's text.
        unsafe { self.scheduler.as_ref() }
    }
}

/// Adds a reference, from any thread.
///
/// # Safety
///
/// The caller has a reference.
pub(super) unsafe fn inc_ref(task: NonNull<Header>) {
    // Relaxed: whoever has a reference can make more; nothing is ordered by that.
    // SAFETY: the caller's reference keeps the header valid.
    let before = unsafe { task.as_ref() }.refs.fetch_add(1, Ordering::Relaxed);
    if before > MOST_REFERENCES {
        // A count that wraps would free memory in use.
        std::process::abort();
    }
}

/// Gives up a reference, from any thread; the last one frees the memory.
///
/// # Safety
///
/// The caller has a reference and uses it no more.
pub(super) unsafe fn dec_ref(task: NonNull<Header>) {
    // Release: what was done by this reference happens before the memory is freed.
    // SAFETY: the caller's reference keeps the header valid up to here.
    if unsafe { task.as_ref() }.refs.fetch_sub(1, Ordering::Release) == 1 {
        // SAFETY: it was the last reference, so the header is valid until it is freed below.
        acquire(unsafe { &task.as_ref().refs });
        // SAFETY: it was the last reference. The owner's thread has given up its own, which it
        // does only after it has dropped the future and the output.
        unsafe { free(task) };
    }
}

/// What was done by every reference that is gone happens before what follows.
fn acquire(references: &AtomicU32) {
    // ThreadSanitizer knows no fences; the load costs a little more.
    if cfg!(annulus_tsan) {
        references.load(Ordering::Acquire);
    } else {
        fence(Ordering::Acquire);
    }
}

/// Frees the memory and, if the header had a reference to the scheduler, lets go of that.
///
/// # Safety
///
/// There is no reference left, and the caller sees what was done by each.
unsafe fn free(task: NonNull<Header>) {
    // SAFETY: the memory is valid until it is freed here.
    let header = unsafe { task.as_ref() };
    let (class, scheduler) =
        (header.vtable.class, header.keeps_scheduler.get().then_some(header.scheduler));
    // SAFETY: there is no reference left. The stage holds nothing to drop.
    unsafe {
        task.drop_in_place();
        class.free(task.cast());
    }
    if let Some(scheduler) = scheduler {
        // SAFETY: `leave` has made this reference.
        let scheduler = unsafe { Arc::from_raw(scheduler.as_ptr()) };
        // The last one drops the incident hook, which is foreign code: no waker of a task panics.
        let _ = catch_panic(|| drop(scheduler));
    }
}

/// Adds to what the owner's thread holds.
///
/// # Safety
///
/// This is the owner's thread, which holds the task already.
#[inline]
pub(super) unsafe fn inc_local(task: NonNull<Header>) {
    // SAFETY: what is held is valid.
    let held = unsafe { &task.as_ref().local_refs };
    debug_assert!(held.get() > 0, "the owner holds the task");
    if held.get() > MOST_REFERENCES {
        std::process::abort();
    }
    held.set(held.get() + 1);
}

/// Gives up one of the owner's holds; with the last, its one counted reference.
///
/// # Safety
///
/// This is the owner's thread, and the caller has a hold and uses it no more.
#[inline]
pub(super) unsafe fn dec_local(task: NonNull<Header>) {
    // SAFETY: what is held is valid.
    let held = unsafe { &task.as_ref().local_refs };
    held.set(held.get() - 1);
    if held.get() == 0 {
        // SAFETY: it was the last hold.
        unsafe { leave(task) };
    }
}

/// Gives up the owner's counted reference.
///
/// # Safety
///
/// This is the owner's thread, which holds the task no more.
unsafe fn leave(task: NonNull<Header>) {
    // SAFETY: the owner's reference keeps the header valid up to here.
    let header = unsafe { task.as_ref() };
    let scheduler = header.scheduler;
    // Acquire: what was done by references that are gone happens before the memory is freed.
    if header.refs.load(Ordering::Acquire) == 1 {
        // SAFETY: only the owner's reference is left, so nobody can make another, and the stage
        // holds nothing to drop.
        unsafe {
            let class = header.vtable.class;
            task.drop_in_place();
            scheduler.as_ref().pool.give_back(task.cast(), class);
        }
    } else {
        // SAFETY: the scheduler came from an `Arc`, which is alive: this task has entered it.
        unsafe { Arc::increment_strong_count(scheduler.as_ptr()) };
        header.keeps_scheduler.set(true);
        // SAFETY: this is the owner's reference.
        unsafe { dec_ref(task) };
    }
    // SAFETY: each task has entered once, when it was made.
    unsafe { Scheduler::leave(scheduler) };
}

/// Wakes a task, from any thread.
///
/// # Safety
///
/// The caller has a reference.
#[inline]
pub(super) unsafe fn wake(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the header valid.
    let header = unsafe { task.as_ref() };
    if header.scheduler().is_owned_by_this_thread() {
        // SAFETY: this is the owner's thread.
        unsafe { header.scheduler().make_ready(task) };
    } else {
        // SAFETY: passed on by the caller.
        unsafe { wake_from_elsewhere(task) };
    }
}

/// Wakes a task from another thread than its own. Not inlined, as most wakes come from the own one.
///
/// # Safety
///
/// As for [`wake`].
#[inline(never)]
unsafe fn wake_from_elsewhere(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the header valid.
    let header = unsafe { task.as_ref() };
    if !header.in_inbox.swap(true, Ordering::AcqRel) {
        // SAFETY: the caller has a reference, from which the inbox's is made.
        unsafe { inc_ref(task) };
        // SAFETY: the reference is given away, and `in_inbox` was set here.
        unsafe { header.scheduler().deliver(task) };
    }
}
