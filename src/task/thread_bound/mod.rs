//! Values that stay on their thread, in a box that may go to any.
//!
//! - [`node`] is the box: the value, behind a header that any thread may look at.
//! - [`returns`] is the list by which values that were dropped elsewhere come home;
//!   each scheduler has one. Its link is in the node, so the way home needs no memory and has no
//!   bound: a destructor could handle no refusal.
//!
//! # Why this is sound
//!
//! *Who touches the value.* The thread that made the `ThreadBound`, and no other: `local` compares
//! thread ids, which are never used twice, before it returns a pointer to the value. Everything
//! else here touches the header alone, through a pointer to it, never through a reference to the
//! whole node.
//!
//! *Who drops it.* Dropped on its own thread: that drop, whatever has become of the runtime.
//! Dropped elsewhere: the node goes to the runtime's list, and the owner's thread drops it in its
//! event loop or at the end of the runtime. The list is closed by then, so that a node is either
//! taken by the owner or refused; one that is refused is leaked.
//!
//! *Lifetimes.* A value that comes home is dropped after its `ThreadBound`, so it must not borrow:
//! `T: 'static`. The bound is the type's, not only the constructor's: otherwise subtyping would
//! turn a `ThreadBound<Guard<'static>>` into one of a shorter lifetime, whose value could be
//! replaced by one that borrows.
//!
//! *Pinning.* A `ThreadBound` that is pinned pins its value: `get_mut` and `into_inner` need one
//! that is not, unless the value is `Unpin`. The value never moves: the node goes home, not its
//! content.

mod node;
mod returns;
#[cfg(all(test, not(annulus_loom)))]
mod tests;

use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{any, fmt, thread};

use futures_util::Stream;

pub(super) use returns::Returns;

use self::node::{Node, drop_here, is_local, send_home, take_value};
use crate::task::executor::Executor;

/// A value that stays on its thread, in a form that is `Send` and `Sync`.
///
/// What belongs to a runtime is not `Send`: sleeps, join handles, connections, and most futures
/// that await them. That is what makes them cheap: no atomics, no locks. Libraries written for
/// runtimes with several threads demand `Send` all the same, even where nothing is ever sent.
/// `ThreadBound` promises it: it may go to any thread, but the value is accessible on its own
/// thread only, which is checked, and is dropped there and nowhere else.
///
/// The value is bound to the thread of the runtime that was current where the `ThreadBound` was
/// made. It is in a box of its own, which is the only allocation.
///
/// # On another thread
///
/// [`get`](Self::get), [`get_mut`](Self::get_mut) and [`get_pin_mut`](Self::get_pin_mut) return
/// `None`, [`into_inner`](Self::into_inner) returns the `ThreadBound` itself. Dereferencing it, and
/// polling it as a `Future` or `Stream`, panics. The traits `AsyncRead` and `AsyncWrite` of futures
/// and Tokio (features `futures-io` and `tokio-io`) return an error.
///
/// Dropped on another thread, the value travels home: the runtime's event loop, which is woken,
/// drops it in its next turn, at most as many in a turn as tasks may be polled. That neither blocks
/// nor allocates, cannot fail, and works in destructors of thread-locals. A panic of the value's
/// destructor becomes an [incident](crate::Incident::CallbackPanicked). A runtime that ends drops
/// all that has come home before; a value that is dropped elsewhere after that is leaked, and
/// reported as [`Incident::ThreadBoundLeaked`](crate::Incident::ThreadBoundLeaked), as its thread
/// may be gone. A value whose runtime was forgotten ([`std::mem::forget`]) is leaked without a
/// report, and so is one of another thread's in a forked process.
///
/// On its own thread the value stays accessible after the runtime has ended, and another runtime on
/// that thread makes no difference to it.
///
/// # Why `Sleep` itself is not `Send`
///
/// Its timer is in the wheel of its runtime, which needs no lock. If any thread could drop or reset
/// it, every sleep would need an atomic read-modify-write, and every turn would look for timers
/// that other threads have stopped. The same holds for the futures of
/// [`JoinHandle`](super::JoinHandle)s and for operations in flight. With `ThreadBound` only those
/// pay whose library demands it.
///
/// # Example
///
/// A handler that must be `Send`, and sleeps:
///
/// ```
/// use std::time::Duration;
/// use annulus::task::ThreadBound;
/// use annulus::time::sleep;
///
/// fn must_be_send<T: Send>(handler: T) -> T {
///     handler
/// }
///
/// let handler = async {
///     ThreadBound::new(sleep(Duration::from_millis(1))).await;
///     ThreadBound::new(async { annulus::spawn(async { 6 * 7 }).await.unwrap() }).await
/// };
/// assert_eq!(annulus::run(must_be_send(handler))?, 42);
/// # Ok::<(), annulus::SetupError>(())
/// ```
///
/// A value that another thread must not touch:
///
/// ```
/// use std::rc::Rc;
/// use annulus::task::ThreadBound;
///
/// annulus::run(async {
///     let bound = ThreadBound::new(Rc::new(1));
///     assert_eq!(**bound, 1);
///     std::thread::spawn(move || {
///         assert!(!bound.is_local());
///         assert!(bound.get().is_none());
///         // Dropped here, it travels home.
///     });
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "SendWrapper")]
#[doc(alias = "Fragile")]
pub struct ThreadBound<T: 'static> {
    node: NonNull<Node<T>>,
    /// It drops a `T`, and is `Unpin` only if that is.
    _value: PhantomData<T>,
}

// SAFETY: other threads reach the header alone, whose fields they may touch; see the module.
unsafe impl<T: 'static> Send for ThreadBound<T> {}
// SAFETY: as above.
unsafe impl<T: 'static> Sync for ThreadBound<T> {}

impl Executor {
    /// Binds a value to this thread. Dropped on another, it returns to this executor.
    pub(crate) fn bind<T: 'static>(&self, value: T) -> ThreadBound<T> {
        ThreadBound {
            node: Node::new(Arc::clone(self.scheduler_arc()), value),
            _value: PhantomData,
        }
    }

    /// Drops values that other threads have sent home, at most `limit`. Returns whether there are
    /// more. Runs foreign code, whose panics become incidents.
    pub(crate) fn drop_returned(&self, limit: usize) -> bool {
        let scheduler = self.scheduler_arc();
        // SAFETY: an `Executor` exists on its owner's thread only.
        unsafe { scheduler.returns.receive() };
        for _ in 0..limit {
            // SAFETY: as above.
            let Some(node) = (unsafe { scheduler.returns.pop() }) else { return false };
            // SAFETY: its sender passed it on, and this is its thread: nodes come to the list of
            // the scheduler that they were made with.
            unsafe { node::drop_returned(node.cast(), scheduler) };
        }
        // SAFETY: as above.
        unsafe { scheduler.returns.has_more() }
    }

    /// Refuses values that other threads send home from here on, and drops those that have come.
    pub(super) fn close_returns(&self) {
        // SAFETY: an `Executor` exists on its owner's thread only.
        unsafe { self.scheduler_arc().returns.close() };
        self.drop_returned(usize::MAX);
    }
}

impl<T: 'static> ThreadBound<T> {
    /// Returns whether this is the value's thread.
    #[inline]
    pub fn is_local(&self) -> bool {
        // SAFETY: the node lives as long as this.
        unsafe { is_local(self.node.cast()) }
    }

    /// The value, on its own thread.
    #[inline]
    fn local(&self) -> Option<NonNull<T>> {
        // SAFETY: the node lives as long as this; no reference is made.
        self.is_local().then(|| unsafe { Node::value(self.node) })
    }

    /// Returns the value; `None` on another thread.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: this is the value's thread, and the borrow of `self` keeps the value, of which
        // there are only shared references meanwhile.
        self.local().map(|value| unsafe { value.as_ref() })
    }

    /// Returns the value mutably; `None` on another thread.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: this is the value's thread, and `self` is borrowed exclusively. A value that was
        // pinned is `Unpin`, since this is not pinned.
        self.local().map(|mut value| unsafe { value.as_mut() })
    }

    /// Returns the value, pinned; `None` on another thread.
    ///
    /// # Example
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::time::Duration;
    /// use annulus::task::ThreadBound;
    /// use annulus::time::sleep;
    ///
    /// annulus::run(async {
    ///     let mut bound = pin!(ThreadBound::new(sleep(Duration::ZERO)));
    ///     // Polls it, and would not panic on another thread.
    ///     bound.as_mut().get_pin_mut().expect("it is here").await;
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[inline]
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Option<Pin<&mut T>> {
        // SAFETY: this is the value's thread, and `self` is borrowed exclusively. The value is in
        // a node that never moves, and is pinned with `self`: no safe method moves it out then.
        self.local().map(|mut value| unsafe { Pin::new_unchecked(value.as_mut()) })
    }

    /// Returns the value itself.
    ///
    /// # Errors
    ///
    /// Returns the `ThreadBound` on another thread.
    pub fn into_inner(self) -> Result<T, Self> {
        if !self.is_local() {
            return Err(self);
        }
        let node = self.node;
        std::mem::forget(self);
        // SAFETY: this is the value's thread, and the node was `self`'s, which is gone.
        Ok(unsafe { take_value(node) })
    }
}

/// Why a value cannot be used here.
#[cold]
pub(crate) fn refusal<T>(done: &str) -> String {
    let thread = thread::current();
    format!(
        "a `ThreadBound<{}>` was {done} on thread '{}', but its value belongs to the thread of the \
         runtime that it was made in: use it there, for which `Handle::spawn` starts a task, or \
         check `is_local` first",
        any::type_name::<T>(),
        thread.name().unwrap_or("unnamed"),
    )
}

#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn refuse<T>(done: &str) -> ! {
    panic!("{}", refusal::<T>(done))
}

impl<T: 'static> Drop for ThreadBound<T> {
    fn drop(&mut self) {
        if self.is_local() {
            // SAFETY: the node is this one's, and this is the value's thread.
            unsafe { drop_here(self.node) };
        } else {
            // SAFETY: the node is this one's, which no code uses any more.
            unsafe { send_home(self.node.cast()) };
        }
    }
}

/// Panics on another thread; [`get`](ThreadBound::get) does not.
impl<T: 'static> Deref for ThreadBound<T> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        // A `match`, as the panic is to point at the caller.
        match self.get() {
            Some(value) => value,
            None => refuse::<T>("dereferenced"),
        }
    }
}

/// Panics on another thread; [`get_mut`](ThreadBound::get_mut) does not.
impl<T: 'static> DerefMut for ThreadBound<T> {
    #[inline]
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        match self.get_mut() {
            Some(value) => value,
            None => refuse::<T>("dereferenced"),
        }
    }
}

/// Panics on another thread; a poll of what [`get_pin_mut`](ThreadBound::get_pin_mut) returns does
/// not.
impl<T: Future + 'static> Future for ThreadBound<T> {
    type Output = T::Output;

    #[inline]
    #[track_caller]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T::Output> {
        match self.get_pin_mut() {
            Some(future) => future.poll(context),
            None => refuse::<T>("polled"),
        }
    }
}

/// Panics on another thread; a poll of what [`get_pin_mut`](ThreadBound::get_pin_mut) returns does
/// not.
impl<T: Stream + 'static> Stream for ThreadBound<T> {
    type Item = T::Item;

    #[inline]
    #[track_caller]
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T::Item>> {
        match self.get_pin_mut() {
            Some(stream) => stream.poll_next(context),
            None => refuse::<T>("polled"),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.get().map_or((0, None), Stream::size_hint)
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for ThreadBound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => f.debug_tuple("ThreadBound").field(value).finish(),
            None => f.write_str("ThreadBound(<of another thread>)"),
        }
    }
}
