//! The two reference counts of a task, and the end of its memory.
//!
//! # References
//!
//! `refs` counts, atomically: each waker; the place in the inbox; and one for the owner's thread,
//! for as long as that has any local reference. Local references (the list of tasks, the handle,
//! the place in the ready queue, a `LocalWaker`, a `TaskRef`) are counted in `local_refs`, without
//! atomics. While a task has not ended the list has one, so `local_refs > 0`.
//!
//! # The scheduler
//!
//! A header points to its scheduler. While the owner has local references to any task, the tasks
//! together keep one reference to the scheduler ([`Scheduler::enter`], [`Scheduler::leave`]), so
//! that making and freeing a task costs no atomic read-modify-write. A header that outlives the
//! owner's local references, because a waker is left, gets a reference of its own
//! (`keeps_scheduler`).

use std::ptr::NonNull;
use std::sync::Arc;

use super::header::Header;
use super::loom::{AtomicU32, Ordering, fence};
use super::scheduler::Scheduler;
use crate::error::catch_panic;

/// More references than fit into memory: only a loop that forgets clones reaches this count.
const MAX_REFS: u32 = u32::MAX / 2;

/// Adds a reference, from any thread.
///
/// # Safety
///
/// The caller has a reference.
#[inline]
pub(super) unsafe fn inc_ref(task: NonNull<Header>) {
    // Relaxed: the caller's reference allows for more, and orders nothing.
    // SAFETY: the caller's reference keeps the header valid.
    let before = unsafe { task.as_ref() }.refs.fetch_add(1, Ordering::Relaxed);
    if before > MAX_REFS {
        // A count that wraps would free memory in use.
        std::process::abort();
    }
}

/// Drops a reference, from any thread; the last one frees the memory.
///
/// # Safety
///
/// The caller has a reference and does not use it any more.
#[inline]
pub(super) unsafe fn dec_ref(task: NonNull<Header>) {
    // Release: what was done through this reference happens before the memory is freed.
    // SAFETY: the caller's reference keeps the header valid up to here.
    if unsafe { task.as_ref() }.refs.fetch_sub(1, Ordering::Release) == 1 {
        // SAFETY: it was the last reference.
        unsafe { free(task) };
    }
}

/// Orders what was done through all dropped references before what follows.
fn acquire(refs: &AtomicU32) {
    // ThreadSanitizer does not understand fences; the load costs a little more.
    if cfg!(annulus_tsan) {
        refs.load(Ordering::Acquire);
    } else {
        fence(Ordering::Acquire);
    }
}

/// Frees the memory and, if the header has one, drops its reference to the scheduler. Not inlined,
/// as most references are not the last.
///
/// # Safety
///
/// No reference is left.
#[cold]
#[inline(never)]
unsafe fn free(task: NonNull<Header>) {
    // SAFETY: the memory is valid until it is freed here.
    let header = unsafe { task.as_ref() };
    acquire(&header.refs);
    let class = header.vtable.class;
    let scheduler = header.keeps_scheduler.get().then_some(header.scheduler);
    // SAFETY: no reference is left, and what was done through each happened before. The owner's
    // thread drops its own only after it has dropped the future and the output, so the stage has
    // nothing to drop.
    unsafe {
        task.drop_in_place();
        class.free(task.cast());
    }
    if let Some(scheduler) = scheduler {
        // SAFETY: `drop_owner_ref` made this reference.
        let scheduler = unsafe { Arc::from_raw(scheduler.as_ptr()) };
        // The last one drops the incident hook, which is foreign code; a task's waker must not
        // panic.
        let _ = catch_panic(|| drop(scheduler));
    }
}

/// Adds a local reference.
///
/// # Safety
///
/// This is the owner's thread, and it has a local reference.
#[inline]
pub(super) unsafe fn inc_local(task: NonNull<Header>) {
    // SAFETY: a local reference keeps the header valid.
    let local_refs = unsafe { &task.as_ref().local_refs };
    debug_assert!(local_refs.get() > 0, "the owner has a local reference");
    if local_refs.get() > MAX_REFS {
        std::process::abort();
    }
    local_refs.set(local_refs.get() + 1);
}

/// Drops a local reference, and with the last the one reference of the owner's thread.
///
/// # Safety
///
/// This is the owner's thread, and the caller has a local reference and does not use it any more.
#[inline]
pub(super) unsafe fn dec_local(task: NonNull<Header>) {
    // SAFETY: a local reference keeps the header valid.
    let local_refs = unsafe { &task.as_ref().local_refs };
    local_refs.set(local_refs.get() - 1);
    if local_refs.get() == 0 {
        // SAFETY: it was the last local reference.
        unsafe { drop_owner_ref(task) };
    }
}

/// Drops the reference of the owner's thread.
///
/// # Safety
///
/// This is the owner's thread, and it has no local reference any more.
unsafe fn drop_owner_ref(task: NonNull<Header>) {
    // SAFETY: the owner's reference keeps the header valid up to here.
    let header = unsafe { task.as_ref() };
    let scheduler = header.scheduler;
    // Acquire: what was done through dropped references happens before the memory is freed.
    if header.refs.load(Ordering::Acquire) == 1 {
        // SAFETY: only the owner's reference is left, from which no other thread can make one, and
        // the stage has nothing to drop.
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
    // SAFETY: each task entered once, when it was made.
    unsafe { Scheduler::leave(scheduler) };
}
