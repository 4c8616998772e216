//! Every value to every receiver, and a bound on what a slow one can hold back.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::{error, fmt};

use super::wait::{notify, wait_until};
use super::wait_queue::WaitQueue;
use crate::task::Shrink;

/// A channel that gives each value to each receiver, and keeps `capacity` of them for those that have
/// not seen them yet. Sending never waits: a receiver that is further behind loses the oldest, and is
/// told how many.
///
/// A value that was sent is one allocation, whatever the number of receivers. Each gets a clone, and
/// the last one the value itself.
///
/// # Panics
///
/// If there is room for no value.
///
/// # Example
///
/// ```
/// use annulus::spawn;
/// use annulus::sync::broadcast;
///
/// annulus::run(async {
///     let (sender, receiver) = broadcast::channel(16);
///     let listening = [receiver.clone(), receiver].map(|mut receiver| {
///         spawn(async move {
///             let mut heard = Vec::new();
///             while let Ok(word) = receiver.recv().await {
///                 heard.push(word);
///             }
///             heard
///         })
///     });
///     sender.send("all").unwrap();
///     sender.send("hear").unwrap();
///     drop(sender);
///     for listener in listening {
///         assert_eq!(listener.await.unwrap(), ["all", "hear"]);
///     }
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel needs room for a value");
    let shared = Rc::new(Shared {
        kept: RefCell::new(Kept { values: VecDeque::new(), first: 0, receivers: 1 }),
        capacity,
        senders: Cell::new(1),
        waiters: RefCell::new(WaitQueue::new()),
    });
    (Sender { shared: Rc::clone(&shared) }, Receiver { shared, next: 0 })
}

struct Shared<T> {
    kept: RefCell<Kept<T>>,
    capacity: usize,
    senders: Cell<usize>,
    /// Called when there is a new value, or no sender any more.
    waiters: RefCell<WaitQueue<()>>,
}

/// The values that some receiver has not seen. They are numbered as they are sent.
struct Kept<T> {
    values: VecDeque<Value<T>>,
    /// The number of the oldest that is kept.
    first: u64,
    receivers: usize,
}

struct Value<T> {
    value: Rc<T>,
    /// How many receivers have not seen it.
    unseen: usize,
}

impl<T> Kept<T> {
    /// The number that the next value will have.
    fn end(&self) -> u64 {
        self.first + self.values.len() as u64
    }

    /// The values from a number on.
    fn values_from(&mut self, number: u64) -> impl Iterator<Item = &mut Value<T>> {
        let skipped = number.saturating_sub(self.first);
        self.values.iter_mut().skip(usize::try_from(skipped).unwrap_or(usize::MAX))
    }

    fn remove_first(&mut self) -> Option<Value<T>> {
        let removed = self.values.pop_front()?;
        self.values.shrink();
        self.first += 1;
        Some(removed)
    }
}

impl<T> Shared<T> {
    /// Drops what all receivers have seen.
    fn tidy(&self) {
        let seen = || {
            let mut kept = self.kept.borrow_mut();
            if kept.values.front()?.unseen > 0 {
                return None;
            }
            kept.remove_first()
        };
        // One after another, as a destructor is foreign code.
        while let Some(value) = seen() {
            drop(value);
        }
    }
}

/// Where values are put. Clones send to the same receivers.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends a value to all receivers, and says how many there are.
    ///
    /// # Errors
    ///
    /// The value, if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, T> {
        let mut kept = self.shared.kept.borrow_mut();
        let receivers = kept.receivers;
        if receivers == 0 {
            return Err(value);
        }
        let is_full = kept.values.len() == self.shared.capacity;
        let lost = if is_full { kept.remove_first() } else { None };
        kept.values.push_back(Value { value: Rc::new(value), unseen: receivers });
        drop(kept);
        notify(&self.shared.waiters, usize::MAX);
        drop(lost);
        Ok(receivers)
    }

    /// A new receiver, of the values that are sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut kept = self.shared.kept.borrow_mut();
        kept.receivers += 1;
        Receiver { shared: Rc::clone(&self.shared), next: kept.end() }
    }

    /// How many receivers there are.
    pub fn receivers(&self) -> usize {
        self.shared.kept.borrow().receivers
    }

    /// How many values are kept for receivers that have not seen them.
    pub fn len(&self) -> usize {
        self.shared.kept.borrow().values.len()
    }

    /// Whether all receivers have seen all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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
            notify(&self.shared.waiters, usize::MAX);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("receivers", &self.receivers())
            .field("len", &self.len())
            .finish()
    }
}

/// Where values come out. A clone receives what this one has still to receive.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    /// The number of the next value.
    next: u64,
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next value.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] if values were lost; the next call gives the oldest that is left.
    /// [`RecvError::Closed`] if all have been received and all senders are gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has received nothing.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let shared = &self.shared;
        let has_more = || self.next < shared.kept.borrow().end();
        wait_until(&shared.waiters, || has_more() || shared.senders.get() == 0).await;
        self.take().unwrap_or(Err(RecvError::Closed))
    }

    /// The next value, if it is there.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`], or [`TryRecvError::Empty`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.take() {
            Some(Ok(value)) => Ok(value),
            Some(Err(RecvError::Lagged(lost))) => Err(TryRecvError::Lagged(lost)),
            None if self.shared.senders.get() > 0 => Err(TryRecvError::Empty),
            None | Some(Err(RecvError::Closed)) => Err(TryRecvError::Closed),
        }
    }

    fn take(&mut self) -> Option<Result<T, RecvError>> {
        let mut kept = self.shared.kept.borrow_mut();
        if self.next < kept.first {
            let lost = kept.first - self.next;
            self.next = kept.first;
            return Some(Err(RecvError::Lagged(lost)));
        }
        let next = kept.values_from(self.next).next()?;
        next.unseen -= 1;
        let value = Rc::clone(&next.value);
        self.next += 1;
        drop(kept);
        self.shared.tidy();
        // If that was the last receiver, it has the value alone.
        Some(Ok(Rc::unwrap_or_clone(value)))
    }
}

impl<T> Receiver<T> {
    /// How many values it has still to receive, those that were lost among them.
    pub fn len(&self) -> usize {
        let unseen = self.shared.kept.borrow().end() - self.next;
        usize::try_from(unseen).unwrap_or(usize::MAX)
    }

    /// Whether it has received all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut kept = self.shared.kept.borrow_mut();
        kept.receivers += 1;
        kept.values_from(self.next).for_each(|value| value.unseen += 1);
        Self { shared: Rc::clone(&self.shared), next: self.next }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut kept = self.shared.kept.borrow_mut();
        kept.receivers -= 1;
        kept.values_from(self.next).for_each(|value| value.unseen -= 1);
        drop(kept);
        self.shared.tidy();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Why there is no next value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// So many values were lost, as this receiver was too slow.
    Lagged(u64),
    /// No value will come.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(lost) => write!(f, "{lost} values were lost"),
            Self::Closed => f.write_str("no value will come"),
        }
    }
}

impl error::Error for RecvError {}

/// Why there is no next value now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// It has not come yet.
    Empty,
    /// So many values were lost, as this receiver was too slow.
    Lagged(u64),
    /// No value will come.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no value has come yet"),
            Self::Lagged(lost) => RecvError::Lagged(*lost).fmt(f),
            Self::Closed => RecvError::Closed.fmt(f),
        }
    }
}

impl error::Error for TryRecvError {}
