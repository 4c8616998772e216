//! A flag that can be waited for.

use std::cell::{Cell, RefCell};
use std::fmt;

use super::wait::{notify, wait_until};
use super::wait_queue::WaitQueue;

/// A flag that tasks can wait for.
///
/// # Example
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
    /// An event that is not set.
    pub const fn new() -> Self {
        Self { set: Cell::new(false), waiters: RefCell::new(WaitQueue::new()) }
    }

    /// Sets it. All that wait go on, also if it is cleared before they run.
    #[doc(alias = "asyncio.Event.set")]
    pub fn set(&self) {
        if !self.set.replace(true) {
            notify(&self.waiters, usize::MAX);
        }
    }

    /// Clears it: those that come now wait.
    #[doc(alias = "asyncio.Event.clear")]
    pub fn clear(&self) {
        self.set.set(false);
    }

    /// Whether it is set.
    #[doc(alias = "asyncio.Event.is_set")]
    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Waits until it is set.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing happens.
    #[doc(alias = "asyncio.Event.wait")]
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
