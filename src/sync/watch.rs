//! The latest of a value that changes: a receiver sees the newest value, not every one.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::{error, fmt, mem};

use super::endpoints::Endpoints;
use crate::task::coop;

/// Creates a value that senders change and receivers watch.
///
/// Clone a receiver to get another.
///
/// The value is handed out as an [`Rc`], so a receiver may keep one while the value changes.
/// Sending allocates only while a receiver keeps the former value.
///
/// # Examples
///
/// ```
/// use annulus::spawn;
/// use annulus::sync::watch;
///
/// annulus::run(async {
///     let (sender, mut receiver) = watch::channel("starting");
///     let watching = spawn(async move {
///         receiver.wait_for(|state| *state == "ready").await.unwrap();
///         *receiver.latest()
///     });
///     sender.send("loading").unwrap();
///     sender.send("ready").unwrap();
///     assert_eq!(watching.await.unwrap(), "ready");
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        value: RefCell::new(Rc::new(value)),
        version: Cell::new(0),
        senders: Endpoints::one(),
        receivers: Endpoints::one(),
    });
    (Sender { shared: Rc::clone(&shared) }, Receiver { shared, seen: 0 })
}

struct Shared<T> {
    value: RefCell<Rc<T>>,
    /// How often a value was sent.
    version: Cell<u64>,
    /// Receivers wait for these to send a new version.
    senders: Endpoints,
    /// Senders wait until these are gone.
    receivers: Endpoints,
}

impl<T> Shared<T> {
    fn value(&self) -> Rc<T> {
        Rc::clone(&self.value.borrow())
    }
}

/// The sending side, which changes the value. Clones change the same value.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Changes the value and wakes all receivers that wait for a change.
    ///
    /// # Errors
    ///
    /// Returns the value if there is no receiver.
    pub fn send(&self, value: T) -> Result<(), T> {
        if self.receivers() == 0 {
            return Err(value);
        }
        let former = self.replace(value);
        self.shared.version.set(self.shared.version.get() + 1);
        self.shared.senders.notify_waiters();
        // Its destructor is foreign code: it runs last.
        drop(former);
        Ok(())
    }

    /// The current value.
    #[doc(alias = "borrow")]
    pub fn latest(&self) -> Rc<T> {
        self.shared.value()
    }

    /// Creates a receiver that has seen the current value.
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.receivers.add();
        Receiver { shared: Rc::clone(&self.shared), seen: self.shared.version.get() }
    }

    /// The number of receivers.
    #[doc(alias = "receiver_count")]
    pub fn receivers(&self) -> usize {
        self.shared.receivers.count()
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    ///
    /// Dropping it before it completes has no effect.
    pub async fn closed(&self) {
        self.shared.receivers.wait_until(|| false).await;
    }

    /// Replaces the value, in its own memory if no receiver has kept it.
    fn replace(&self, value: T) -> Former<T> {
        let mut present = self.shared.value.borrow_mut();
        match Rc::get_mut(&mut present) {
            Some(present) => Former::Unshared(mem::replace(present, value)),
            None => Former::Shared(mem::replace(&mut *present, Rc::new(value))),
        }
    }
}

/// A value that was replaced.
#[expect(dead_code, reason = "to be dropped")]
enum Former<T> {
    Unshared(T),
    Shared(Rc<T>),
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.add();
        Self { shared: Rc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.senders.remove();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("receivers", &self.receivers()).finish_non_exhaustive()
    }
}

/// The receiving side, which watches the value. A clone has seen the same version.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// The version that this receiver has seen.
    seen: u64,
}

impl<T> Receiver<T> {
    /// The current value, which counts as seen by this receiver from now on.
    #[doc(alias = "borrow_and_update")]
    pub fn latest(&mut self) -> Rc<T> {
        self.seen = self.shared.version.get();
        self.shared.value()
    }

    /// The current value. If this receiver has not seen it, it stays unseen.
    #[doc(alias = "borrow")]
    pub fn peek(&self) -> Rc<T> {
        self.shared.value()
    }

    /// Whether there is a value that this receiver has not seen.
    pub fn has_changed(&self) -> bool {
        self.seen != self.shared.version.get()
    }

    /// Waits for a value that this receiver has not seen, and counts it as seen.
    ///
    /// If several were sent, only the newest is seen.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if there is no unseen value and all senders have been dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has seen nothing.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.shared.senders.wait_until(|| self.has_changed()).await;
        if !self.has_changed() {
            return Err(RecvError);
        }
        self.seen = self.shared.version.get();
        Ok(())
    }

    /// Waits until `condition` is true for the value.
    ///
    /// The value may be one that this receiver has seen.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the condition is false and all senders have been dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it may have seen values.
    pub async fn wait_for(
        &mut self,
        mut condition: impl FnMut(&T) -> bool,
    ) -> Result<Rc<T>, RecvError> {
        poll_fn(|context| coop::poll_spend(context)).await;
        loop {
            let value = self.latest();
            if condition(&value) {
                return Ok(value);
            }
            // So that a sender finds the value unshared.
            drop(value);
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.add();
        Self { shared: Rc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.remove();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("has_changed", &self.has_changed()).finish_non_exhaustive()
    }
}

/// All senders have been dropped, so the value does not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value will not change any more: all senders were dropped")
    }
}

impl error::Error for RecvError {}
