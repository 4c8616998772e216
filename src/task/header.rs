//! The part of a task that does not depend on its future, and that other threads may hold.
//!
//! # References
//!
//! `references` counts, atomically: each waker; a place in the inbox; and one for the owner's
//! thread as long as it holds any reference at all. The owner's own (the runtime's list of tasks,
//! the handle, a place in the ready queue) are counted in `held`, with no atomics. While a task is
//! not finished the runtime's list holds it, so `held > 0`.
//!
//! # Being queued
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
use std::task::Waker;

use super::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use super::cell::Vtable;
use super::context::Values;
use super::id::TaskId;
use super::shard::Shard;

/// More wakers than memory could hold: somebody forgets clones in a loop.
const MOST_REFERENCES: usize = usize::MAX / 2;

pub(super) struct Header {
    // Any thread:
    pub(super) references: AtomicUsize,
    pub(super) in_inbox: AtomicBool,
    pub(super) inbox_next: AtomicPtr<Header>,
    // Any thread, never changed:
    pub(super) vtable: &'static Vtable,
    pub(super) shard: Arc<Shard>,
    pub(super) id: TaskId,
    pub(super) parent: Option<TaskId>,
    pub(super) name: Option<Arc<str>>,
    pub(super) spawned_at: &'static Location<'static>,
    // The owner's thread only:
    pub(super) held: Cell<usize>,
    /// Where the runtime's list keeps the task.
    pub(super) place: Cell<usize>,
    pub(super) queued: Cell<bool>,
    pub(super) ready_next: Cell<Option<NonNull<Header>>>,
    pub(super) cancelled: Cell<bool>,
    pub(super) finished: Cell<bool>,
    /// Whether a handle may still take the outcome.
    pub(super) joinable: Cell<bool>,
    pub(super) joiner: Cell<Option<Waker>>,
    /// Empty once the task has finished, so that no other thread frees it.
    pub(super) values: Cell<Option<Values>>,
}

/// Adds a reference, from any thread.
///
/// # Safety
///
/// The caller has a reference.
pub(super) unsafe fn retain(task: NonNull<Header>) {
    // Relaxed: whoever has a reference can make more; nothing is ordered by that.
    // SAFETY: the caller's reference keeps the header valid.
    let before = unsafe { task.as_ref() }.references.fetch_add(1, Ordering::Relaxed);
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
pub(super) unsafe fn release(task: NonNull<Header>) {
    // Release: what was done by this reference happens before the memory is freed.
    // SAFETY: the caller's reference keeps the header valid up to here.
    if unsafe { task.as_ref() }.references.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: it was the last reference. The owner's thread has given up its own, which it
        // does only after it has dropped the future and the output.
        unsafe { (task.as_ref().vtable.free)(task) };
    }
}

/// Wakes a task, from any thread.
///
/// # Safety
///
/// The caller has a reference.
pub(super) unsafe fn wake(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the header valid.
    let header = unsafe { task.as_ref() };
    if header.shard.is_owned_by_this_thread() {
        // SAFETY: this is the owner's thread.
        unsafe { header.shard.make_ready(task) };
    } else if !header.in_inbox.swap(true, Ordering::AcqRel) {
        // SAFETY: the caller has a reference, from which the inbox's is made.
        unsafe { retain(task) };
        // SAFETY: the reference is given away, and `in_inbox` was set here.
        unsafe { header.shard.deliver(task) };
    }
}
