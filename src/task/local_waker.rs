//! Wakers that stay on the thread where they were received.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::Header;
use super::refs::{dec_local, inc_local};
use super::schedule::{make_ready, make_ready_owned};
use super::{current, waker};
use crate::error::catch_panic;
use crate::trace::WakerEvent;

/// A waker that never leaves its thread, for waits on the thread's own ring, timers and tasks. If
/// it wakes the current task it is a local reference, and storing, waking and dropping it needs no
/// atomic operation; any other waker is cloned.
pub(crate) struct LocalWaker {
    /// Of a task of this thread, with [`LOCAL`] for its table, or a clone of a foreign one.
    waker: Waker,
    _local: PhantomData<Rc<()>>,
}

static LOCAL: RawWakerVTable =
    RawWakerVTable::new(clone_local, wake_by_value, wake_by_reference, drop_local);

impl LocalWaker {
    #[inline]
    pub(crate) fn new(waker: &Waker) -> Self {
        let waker = match current::woken_by(waker) {
            // SAFETY: the current task has a local reference, and this is the owner's thread. The
            // functions of the table satisfy the contract of `RawWaker`, except that they must stay
            // on this thread: this type is not `Send`, and hands the waker only to callers that
            // promise so.
            Some(task) => unsafe {
                inc_local(task);
                tell(task, WakerEvent::Clone);
                Waker::from_raw(RawWaker::new(task.as_ptr().cast(), &LOCAL))
            },
            None => waker.clone(),
        };
        Self { waker, _local: PhantomData }
    }

    /// The waker itself, to be stored where this type cannot be named.
    ///
    /// # Safety
    ///
    /// It stays on this thread, and ends by [`from_waker`](Self::from_waker).
    #[inline]
    pub(super) unsafe fn into_waker(self) -> Waker {
        self.waker
    }

    /// The reverse of [`into_waker`](Self::into_waker).
    #[inline]
    pub(super) fn from_waker(waker: Waker) -> Self {
        Self { waker, _local: PhantomData }
    }

    #[inline]
    fn is_local(&self) -> bool {
        ptr::eq(self.waker.vtable(), &LOCAL)
    }

    /// Whether it is known to wake what the other wakes.
    #[inline]
    pub(crate) fn will_wake(&self, other: &Waker) -> bool {
        if self.is_local() {
            waker::is_of(other, header(self.waker.data()))
        } else {
            self.waker.will_wake(other)
        }
    }

    /// Wakes. A task of this thread is only queued; any other waker is foreign code.
    #[inline]
    pub(crate) fn wake(self) {
        self.waker.wake();
    }

    /// Wakes, and returns the message of a foreign waker's panic.
    #[must_use]
    #[inline]
    pub(crate) fn wake_catching_panic(self) -> Option<String> {
        if self.is_local() {
            self.wake();
            return None;
        }
        catch_panic(|| self.wake())
    }
}

fn header(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast_mut().cast()).expect("a waker's pointer is never null")
}

/// Tells a subscriber what is done with a waker.
///
/// # Safety
///
/// The caller has a local reference to the task.
#[inline(always)]
unsafe fn tell(task: NonNull<Header>, event: WakerEvent) {
    // SAFETY: the caller's reference keeps the header valid.
    unsafe { task.as_ref() }.spans.tell(event);
}

unsafe fn clone_local(data: *const ()) -> RawWaker {
    // SAFETY: a waker with this table is a local reference, on the owner's thread.
    unsafe {
        inc_local(header(data));
        tell(header(data), WakerEvent::Clone);
    }
    RawWaker::new(data, &LOCAL)
}

unsafe fn wake_by_value(data: *const ()) {
    // SAFETY: a waker with this table is a local reference, on the owner's thread; this one is
    // consumed.
    unsafe {
        tell(header(data), WakerEvent::Wake);
        make_ready_owned(header(data));
    }
}

unsafe fn wake_by_reference(data: *const ()) {
    // SAFETY: a waker with this table is a local reference, on the owner's thread.
    unsafe {
        tell(header(data), WakerEvent::WakeByRef);
        make_ready(header(data));
    }
}

unsafe fn drop_local(data: *const ()) {
    // SAFETY: a waker with this table is a local reference, on the owner's thread; this one is
    // consumed.
    unsafe {
        tell(header(data), WakerEvent::Drop);
        dec_local(header(data));
    }
}
