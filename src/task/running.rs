//! Which runtime's event loop this thread is inside of.
//!
//! A thread can have several runtimes, but runs one event loop at a time. Meanwhile nothing that
//! belongs to another of its runtimes makes progress, so waiting for that would wait for ever:
//! [`check_runtime`] turns such a wait into a panic that says so.

use std::cell::Cell;
use std::rc::Rc;

/// Identifies a runtime among those of its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeId(usize);

impl RuntimeId {
    /// The id of the runtime to which `part` belongs: the address of that part. All ids that are
    /// compared come from the same part (the driver) and are used while it lives, so no address is
    /// used twice.
    #[inline]
    pub(crate) fn of<T>(part: &Rc<T>) -> Self {
        Self(Rc::as_ptr(part).addr())
    }
}

// With a constant initialiser and no destructor it can be read while a thread ends.
thread_local! {
    static RUNNING: Cell<Option<RuntimeId>> = const { Cell::new(None) };
}

/// The runtime whose event loop this thread is inside of, or which it is closing.
#[inline]
pub(crate) fn running() -> Option<RuntimeId> {
    RUNNING.get()
}

/// Until it is dropped, this thread is inside of a runtime's event loop, or is closing the runtime.
pub(crate) struct RunningGuard {
    outer: Option<RuntimeId>,
}

impl RunningGuard {
    /// `None` if the thread is inside of an event loop already.
    pub(crate) fn try_begin(runtime: RuntimeId) -> Option<Self> {
        running().is_none().then(|| Self::nested(runtime))
    }

    /// Even inside of another event loop, where a runtime can be closed. The drop restores that.
    pub(crate) fn nested(runtime: RuntimeId) -> Self {
        Self { outer: RUNNING.replace(Some(runtime)) }
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        RUNNING.set(self.outer);
    }
}

/// Call this before waiting for `what`, which belongs to `runtime`.
///
/// # Panics
///
/// If this thread is inside of another runtime's event loop. Outside of any it does not panic: the
/// runtime's own event loop may be about to begin.
#[inline]
#[track_caller]
pub(crate) fn check_runtime(runtime: RuntimeId, what: &str) {
    if running().is_some_and(|running| running != runtime) {
        refuse(what);
    }
}

#[cold]
#[track_caller]
fn refuse(what: &str) -> ! {
    panic!(
        "{what} belongs to another runtime of this thread, which cannot run while this one does: \
         await it inside its own runtime"
    )
}
