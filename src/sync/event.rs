//! A flag that tasks can wait for.

use std::cell::{Cell, RefCell};
use std::fmt;

use super::wait::{notify, wait_until};
use super::wait_queue::WaitQueue;

/// A flag that tasks can wait for.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use annulus::sync::Event;
///
/// annulus::run(async {
///     let event = Rc::new(Event::new());
///     let its = Rc::clone(&event);
///     let waiter = annulus::spawn(async move { its.wait().await });
///     event.set();
///     waiter.await.unwrap();
///     assert!(event.is_set());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.Event")]
#[doc(alias = "Notify")]
pub struct Event {
    set: Cell<bool>,
    waiters: RefCell<WaitQueue<()>>,
}

impl Event {
    /// Creates an event that is not set.
    pub const fn new() -> Self {
        Self { set: Cell::new(false), waiters: RefCell::new(WaitQueue::new()) }
    }

    /// Sets the event.
    ///
    /// All waits end, even if it is cleared before their tasks are polled.
    #[doc(alias = "asyncio.Event.set")]
    #[doc(alias = "notify_waiters")]
    pub fn set(&self) {
        if !self.set.replace(true) {
            notify(&self.waiters, usize::MAX);
        }
    }

    /// Clears the event: calls of [`Event::wait`] from now on wait.
    #[doc(alias = "asyncio.Event.clear")]
    pub fn clear(&self) {
        self.set.set(false);
    }

    /// Whether the event is set.
    #[doc(alias = "asyncio.Event.is_set")]
    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Waits until the event is set.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before it completes has no effect.
    #[doc(alias = "asyncio.Event.wait")]
    #[doc(alias = "notified")]
    pub async fn wait(&self) {
        wait_until(&self.waiters, || self.is_set()).await;
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiters.borrow().len();
        f.debug_struct("Event").field("set", &self.is_set()).field("waiting", &waiting).finish()
    }
}
