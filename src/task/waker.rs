//! A task's wakers: references to its header that may be sent to any thread.

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::Header;
use super::refs::{dec_ref, inc_ref};
use super::schedule::wake_task;
use crate::trace::WakerEvent;

static VTABLE: RawWakerVTable =
    RawWakerVTable::new(clone_waker, wake_by_value, wake_by_reference, drop_waker);

/// A waker for a task that is being polled. It borrows the poller's reference, so that a poll which
/// clones no waker changes no count; hence it must not be dropped.
///
/// # Safety
///
/// The caller has a reference for as long as the waker is used.
pub(super) unsafe fn borrowed(task: NonNull<Header>) -> ManuallyDrop<Waker> {
    // SAFETY: the functions of the table satisfy the contract of `RawWaker`: each is safe on any
    // thread, and clones count their own references.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(task.as_ptr().cast(), &VTABLE)) })
}

/// Whether a waker wakes this task.
#[inline]
pub(super) fn is_of(waker: &Waker, task: NonNull<Header>) -> bool {
    ptr::eq(waker.data(), task.as_ptr().cast()) && is_of_a_task(waker)
}

/// Whether a waker wakes a task, of any thread and runtime.
#[inline]
pub(super) fn is_of_a_task(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &VTABLE)
}

/// The header that a waker's data pointer points to.
fn header(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast_mut().cast()).expect("a waker's pointer is never null")
}

/// Tells a subscriber what is done with a waker.
///
/// # Safety
///
/// The caller has a reference to the task.
#[inline(always)]
unsafe fn tell(data: *const (), event: WakerEvent) {
    // SAFETY: the caller's reference keeps the header valid.
    unsafe { header(data).as_ref() }.spans.tell(event);
}

unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: a waker is a reference.
    unsafe {
        inc_ref(header(data));
        tell(data, WakerEvent::Clone);
    }
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake_by_value(data: *const ()) {
    // SAFETY: a waker is a reference; this one is consumed.
    unsafe {
        tell(data, WakerEvent::Wake);
        wake_task(header(data));
        dec_ref(header(data));
    }
}

unsafe fn wake_by_reference(data: *const ()) {
    // SAFETY: a waker is a reference.
    unsafe {
        tell(data, WakerEvent::WakeByRef);
        wake_task(header(data));
    }
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: a waker is a reference; this one is consumed.
    unsafe {
        tell(data, WakerEvent::Drop);
        dec_ref(header(data));
    }
}
