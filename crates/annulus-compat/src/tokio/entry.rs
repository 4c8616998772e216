//! The runtime as the current one of a thread.
//!
//! A thread enters it with its first guard, and leaves it with the last one, in whichever order its
//! guards are dropped. A guard that is dropped inside of an annulus runtime leaves the entry to the
//! thread: that runtime's other tasks are dropped later, and their destructors may need Tokio (a
//! pooled connection of sqlx, for example, spawns a task).

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Waker};

use ::tokio::runtime::{Handle, Id};

use super::builder::Builder;
use super::process::Use;

thread_local! {
    static ENTRY: RefCell<Option<Entry>> = const { RefCell::new(None) };
}

/// This thread's use of the runtime.
struct Entry {
    guards: usize,
    /// Whether the thread was in no runtime of Tokio's before.
    is_outermost: bool,
    handle: Handle,
    /// Until it is dropped, the runtime is the current one. A future, since Tokio's guard borrows
    /// the handle, and a future may own both. Dropped before the use, which may stop the runtime.
    context: Option<Pin<Box<dyn Future<Output = ()>>>>,
    usage: Option<Use>,
}

impl Entry {
    fn new(usage: Use) -> Self {
        // Also has Tokio's thread-local outlive this module's: they are destroyed in the reverse
        // order of their first use.
        let is_outermost = Handle::try_current().is_err();
        let handle = usage.handle.clone();
        let its = handle.clone();
        let mut context: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async move {
            let _entered = its.enter();
            pending::<()>().await;
        });
        let poll = context.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(poll.is_pending(), "it holds the context until it is dropped");
        Self { guards: 0, is_outermost, handle, context: Some(context), usage: Some(usage) }
    }

    fn add_guard(&mut self) -> Handle {
        self.guards += 1;
        self.handle.clone()
    }

    /// Leaves the runtime, and then ends the use of it.
    fn leave(mut self) {
        let usage = self.usage.take();
        drop(self);
        drop(usage);
    }

    /// Whether a fork lies between the process that entered and the calling one.
    fn is_of_parent(&self) -> bool {
        self.usage.as_ref().is_some_and(Use::is_of_parent)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Tokio panics when a runtime is left that is not the innermost one, and when its
        // thread-local is gone. Then its context stays as it is.
        if current_id() != Some(self.handle.id()) {
            mem::forget(self.context.take());
        }
        // A thread ends with its guards only if they are forgotten, or by `process::exit`, which
        // may also be called inside of a runtime. That stops nothing.
        if self.guards > 0 || is_in_annulus() {
            mem::forget(self.usage.take());
        }
    }
}

/// The handle of the runtime that this thread's guards keep running, if it has guards.
pub(super) fn handle_of_thread() -> Option<Handle> {
    let handle = ENTRY.try_with(|entry| {
        let entry = entry.borrow();
        entry.as_ref().filter(|entry| !entry.is_of_parent()).map(|entry| entry.handle.clone())
    });
    handle.ok().flatten()
}

/// Whether this thread is inside of an annulus runtime.
fn is_in_annulus() -> bool {
    annulus::Handle::try_current().is_some()
}

/// The runtime of Tokio's that this thread is in.
fn current_id() -> Option<Id> {
    Handle::try_current().ok().map(|handle| handle.id())
}

/// Until it is dropped, Tokio runs beside and is entered on this thread.
///
/// Made by [`beside`](super::beside); the [module](super) says what its drop does.
#[must_use = "Tokio stops when the last guard is dropped; write `let _tokio = beside();`"]
pub struct Beside {
    handle: Handle,
    /// Whether it is one of the guards of the thread's entry, rather than one on a thread of
    /// Tokio's.
    is_counted: bool,
    /// It belongs to its thread.
    _not_send: PhantomData<*const ()>,
}

impl Beside {
    pub(super) fn enter(builder: &Builder) -> io::Result<Self> {
        Self::enter_by(|| Use::begin(builder))
    }

    pub(super) fn enter_first(builder: &Builder) -> io::Result<Self> {
        let usage = Use::begin_first(builder)?;
        Self::enter_by(|| Ok(usage))
    }

    fn enter_by(begin: impl FnOnce() -> io::Result<Use>) -> io::Result<Self> {
        let of_parent = ENTRY
            .try_with(|entry| entry.borrow_mut().take_if(|entry| entry.is_of_parent()))
            .map_err(|error| io::Error::other(format!("cannot enter Tokio: {error}")))?;
        drop(of_parent);
        if let Some(handle) = ENTRY.with_borrow_mut(|entry| entry.as_mut().map(Entry::add_guard)) {
            return Ok(Self::new(handle, true));
        }
        let usage = begin()?;
        // A runtime-owned thread has entered it already, and could not wait for its end.
        if current_id() == Some(usage.handle.id()) {
            let handle = usage.handle.clone();
            return Ok(Self::new(handle, false));
        }
        let mut entry = Entry::new(usage);
        let handle = entry.add_guard();
        ENTRY.set(Some(entry));
        Ok(Self::new(handle, true))
    }

    fn new(handle: Handle, is_counted: bool) -> Self {
        Self { handle, is_counted, _not_send: PhantomData }
    }

    /// Returns the handle of the Tokio runtime, to start tasks on it from other threads.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        // An error: the thread has ended, and released its entry.
        let entry = ENTRY.try_with(|entry| {
            entry.borrow_mut().take_if(|entry| {
                // Otherwise it is that of a forked child, whose copy of this guard this is.
                if entry.handle.id() != self.handle.id() {
                    return false;
                }
                entry.guards -= 1;
                entry.guards == 0 && !(entry.is_outermost && is_in_annulus())
            })
        });
        if let Ok(Some(entry)) = entry {
            entry.leave();
        }
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beside").field("handle", &self.handle).finish()
    }
}
