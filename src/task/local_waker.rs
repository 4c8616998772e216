//! Wakers that are kept on the thread where they were given.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::header::{Header, dec_local, inc_local};
use super::task_ref::TaskRef;
use super::{current, waker};
use crate::error::catch_panic;

/// A waker that stays on its thread, as those do that wait for the thread's own ring, timers and
/// tasks. If it is the running task's own it is a hold of that, and keeping, waking and dropping it
/// costs no atomic operation; any other waker is cloned.
pub(crate) struct LocalWaker {
    /// Of a task of this thread, with [`LOCAL`] for its table, or a clone of a foreign one. It is
    /// never given out.
    waker: Waker,
    _local: PhantomData<Rc<()>>,
}

static LOCAL: RawWakerVTable =
    RawWakerVTable::new(clone_local, wake_by_value, wake_by_reference, drop_local);

impl LocalWaker {
    /// Keeps a waker.
    #[inline]
    pub(crate) fn new(waker: &Waker) -> Self {
        let waker = match current::current_if_woken_by(waker) {
            // SAFETY: the functions of the table keep the contract of `RawWaker`, but for threads:
            // this type never leaves its thread, and never gives the waker out.
            Some(task) => unsafe {
                Waker::from_raw(RawWaker::new(task.into_raw().as_ptr().cast(), &LOCAL))
            },
            None => waker.clone(),
        };
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

    /// Wakes; a panic of foreign code goes no further, and its message is returned.
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

/// The hold behind a waker's data pointer.
///
/// # Safety
///
/// This is the owner's thread, and the waker's hold is used up or outlives what is returned.
unsafe fn task(data: *const ()) -> TaskRef {
    // SAFETY: passed on by the caller.
    unsafe { TaskRef::from_raw(header(data)) }
}

unsafe fn clone_local(data: *const ()) -> RawWaker {
    // SAFETY: a waker with this table is a hold, on the owner's thread.
    unsafe { inc_local(header(data)) };
    RawWaker::new(data, &LOCAL)
}

unsafe fn wake_by_value(data: *const ()) {
    // SAFETY: a waker with this table is a hold, on the owner's thread; this one is used up.
    unsafe { task(data) }.into_ready();
}

unsafe fn wake_by_reference(data: *const ()) {
    // SAFETY: as above; the waker keeps its hold.
    ManuallyDrop::new(unsafe { task(data) }).make_ready();
}

unsafe fn drop_local(data: *const ()) {
    // SAFETY: as above; this hold is given up.
    unsafe { dec_local(header(data)) };
}
