//! The latest of a value that changes: every receiver sees the newest, not each.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::{error, fmt, mem};

use super::wait::{notify, wait_until};
use super::wait_queue::WaitQueue;
use crate::task::budget;

/// A value with those who change it and those who watch it. Further receivers are clones.
///
/// The value is handed out as an [`Rc`], so a receiver may keep what it has seen while the value
/// changes. Sending allocates only while somebody has kept the former value.
///
/// # Example
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
        senders: Cell::new(1),
        receivers: Cell::new(1),
        watching: RefCell::new(WaitQueue::new()),
        closing: RefCell::new(WaitQueue::new()),
    });
    (Sender { shared: Rc::clone(&shared) }, Receiver { shared, seen: 0 })
}

struct Shared<T> {
    value: RefCell<Rc<T>>,
    /// How often the value was sent.
    version: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// Called when there is a new version, or no sender any more.
    watching: RefCell<WaitQueue<()>>,
    /// Called when there is no receiver any more.
    closing: RefCell<WaitQueue<()>>,
}

impl<T> Shared<T> {
    fn value(&self) -> Rc<T> {
        Rc::clone(&self.value.borrow())
    }
}

/// Who changes the value.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Changes the value, and lets all receivers know.
    ///
    /// # Errors
    ///
    /// The value, if there is no receiver.
    pub fn send(&self, value: T) -> Result<(), T> {
        if self.receivers() == 0 {
            return Err(value);
        }
        let former = self.replace(value);
        self.shared.version.set(self.shared.version.get() + 1);
        notify(&self.shared.watching, usize::MAX);
        // Its destructor is foreign code.
        drop(former);
        Ok(())
    }

    /// The value.
    pub fn latest(&self) -> Rc<T> {
        self.shared.value()
    }

    /// A new receiver, which has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.receivers.set(self.receivers() + 1);
        Receiver { shared: Rc::clone(&self.shared), seen: self.shared.version.get() }
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.shared.receivers.get()
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing happens.
    pub async fn closed(&self) {
        wait_until(&self.shared.closing, || self.receivers() == 0).await;
    }

    /// Puts a value in place of the former, in its memory if nobody else has that.
    fn replace(&self, value: T) -> Former<T> {
        let mut present = self.shared.value.borrow_mut();
        match Rc::get_mut(&mut present) {
            Some(present) => Former::Alone(mem::replace(present, value)),
            None => Former::Kept(mem::replace(&mut *present, Rc::new(value))),
        }
    }
}

/// A value that was replaced.
#[expect(dead_code, reason = "to be dropped")]
enum Former<T> {
    Alone(T),
    Kept(Rc<T>),
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.set(self.shared.senders.get() + 1);
        Self { shared: Rc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let senders = self.shared.senders.get() - 1;
        self.shared.senders.set(senders);
        if senders == 0 {
            notify(&self.shared.watching, usize::MAX);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("receivers", &self.receivers()).finish_non_exhaustive()
    }
}

/// Who watches the value. A clone has seen what this one has.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// The version that this receiver has seen.
    seen: u64,
}

impl<T> Receiver<T> {
    /// The value, which this receiver has then seen.
    pub fn latest(&mut self) -> Rc<T> {
        self.seen = self.shared.version.get();
        self.shared.value()
    }

    /// The value. If it is new to this receiver, it stays so.
    pub fn peek(&self) -> Rc<T> {
        self.shared.value()
    }

    /// Whether there is a value that this receiver has not seen.
    pub fn has_changed(&self) -> bool {
        self.seen != self.shared.version.get()
    }

    /// Waits for a value that this receiver has not seen, and counts it as seen. Of several, only the
    /// newest is there.
    ///
    /// # Errors
    ///
    /// [`Closed`] if there is none and all senders are gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has seen nothing.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let shared = &self.shared;
        let goes_on = || self.has_changed() || shared.senders.get() == 0;
        wait_until(&shared.watching, goes_on).await;
        if !self.has_changed() {
            return Err(Closed);
        }
        self.seen = self.shared.version.get();
        Ok(())
    }

    /// Waits until the value, which may be one that was seen, is as `is_so` wants it.
    ///
    /// # Errors
    ///
    /// [`Closed`] if it is not and all senders are gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have seen values.
    pub async fn wait_for(&mut self, mut is_so: impl FnMut(&T) -> bool) -> Result<Rc<T>, Closed> {
        poll_fn(|context| budget::poll_spend(context)).await;
        loop {
            let value = self.latest();
            if is_so(&value) {
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
        self.shared.receivers.set(self.shared.receivers.get() + 1);
        Self { shared: Rc::clone(&self.shared), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let receivers = self.shared.receivers.get() - 1;
        self.shared.receivers.set(receivers);
        if receivers == 0 {
            notify(&self.shared.closing, usize::MAX);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("has_changed", &self.has_changed()).finish_non_exhaustive()
    }
}

/// All senders are gone, so the value changes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value changes no more")
    }
}

impl error::Error for Closed {}
