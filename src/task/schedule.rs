//! How a woken task gets into the ready queue: at once on its owner's thread, by the inbox from
//! others.

use std::ptr::NonNull;

use super::header::Header;
use super::inbox::Pushed;
use super::loom::Ordering;
use super::refs::{dec_local, dec_ref, inc_local, inc_ref};

/// Wakes a task, from any thread.
///
/// # Safety
///
/// The caller has a reference.
#[inline]
pub(super) unsafe fn wake_task(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the header valid.
    let header = unsafe { task.as_ref() };
    if header.scheduler().is_owned_by_this_thread() {
        // SAFETY: this is the owner's thread.
        unsafe { make_ready(task) };
    } else {
        // SAFETY: by this function's contract.
        unsafe { wake_remotely(task) };
    }
}

/// Wakes a task from another thread than its owner's. Not inlined, as most wakes are local.
///
/// # Safety
///
/// As for [`wake_task`].
#[inline(never)]
unsafe fn wake_remotely(task: NonNull<Header>) {
    // SAFETY: the caller's reference keeps the header valid.
    let header = unsafe { task.as_ref() };
    if header.in_inbox.swap(true, Ordering::AcqRel) {
        return;
    }
    // SAFETY: the caller has a reference; a second one is made for the inbox.
    unsafe { inc_ref(task) };
    // SAFETY: that reference is passed on, and `in_inbox` was set here. The caller's own keeps the
    // scheduler until this function returns.
    match unsafe { header.scheduler().inbox.push(Header::links(task)) } {
        Pushed::OwnerAwake => {}
        Pushed::OwnerSleeps => header.scheduler().ring(),
        // SAFETY: the reference was not taken.
        Pushed::Refused => unsafe { dec_ref(task) },
    }
}

/// Puts a task at the end of the ready queue, unless it is in there or has ended.
///
/// # Safety
///
/// This is the owner's thread, and the task is valid.
#[inline]
pub(super) unsafe fn make_ready(task: NonNull<Header>) {
    // SAFETY: by this function's contract.
    let header = unsafe { task.as_ref() };
    if !header.has_ended() && !header.queued.replace(true) {
        // SAFETY: the list has a local reference to a task that has not ended. The new one is the
        // ready queue's, which does not have the task.
        unsafe {
            inc_local(task);
            header.scheduler().push_ready(Header::links(task));
        }
    }
}

/// [`make_ready`] that takes over a local reference, for the ready queue.
///
/// # Safety
///
/// This is the owner's thread, and the caller passes on a local reference.
#[inline]
pub(super) unsafe fn make_ready_owned(task: NonNull<Header>) {
    // SAFETY: by this function's contract.
    let header = unsafe { task.as_ref() };
    if header.has_ended() {
        // SAFETY: the local reference is the caller's. It may be the last, and even keep the
        // scheduler; nothing is borrowed from either any more.
        unsafe { dec_local(task) };
    } else if header.queued.replace(true) {
        // SAFETY: the local reference is the caller's; the list has another.
        unsafe { dec_local(task) };
    } else {
        // SAFETY: the local reference is passed on to the ready queue, which does not have the
        // task.
        unsafe { header.scheduler().push_ready(Header::links(task)) };
    }
}
