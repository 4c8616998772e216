//! Which runtime's loop this thread is inside of.
//!
//! A thread can have several runtimes, but runs one loop at a time. While it does, nothing that
//! belongs to another of its runtimes makes progress, so waiting for that would wait for ever:
//! [`check_runtime`] turns such a wait into a panic that says so.

use std::cell::Cell;
use std::rc::Rc;

/// Tells the runtimes of a thread apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuntimeId(usize);

impl RuntimeId {
    /// The runtime to which `part` belongs, by the address of that part. All who compare use the
    /// same part (the driver), and hold it meanwhile, so an address is not used twice.
    #[inline]
    pub(crate) fn of<T>(part: &Rc<T>) -> Self {
        Self(Rc::as_ptr(part).addr())
    }
}

// A constant initialiser and no destructor: it can be read while a thread ends.
thread_local! {
    static RUNNING: Cell<Option<RuntimeId>> = const { Cell::new(None) };
}

/// The runtime whose loop this thread is inside of, or which it is closing.
#[inline]
pub(crate) fn running() -> Option<RuntimeId> {
    RUNNING.get()
}

/// Marks that this thread is inside the loop of a runtime, or is closing it, until dropped.
pub(crate) struct RunningGuard {
    outer: Option<RuntimeId>,
}

impl RunningGuard {
    /// `None` if the thread is inside a loop already.
    pub(crate) fn try_begin(runtime: RuntimeId) -> Option<Self> {
        running().is_none().then(|| Self::nested(runtime))
    }

    /// Also inside of another loop, as a runtime can be closed there. The former mark comes back.
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
/// If this thread is inside the loop of another runtime. Outside of a loop nothing is known: the
/// runtime's own may be about to begin.
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
