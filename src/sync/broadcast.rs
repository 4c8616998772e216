//! A channel that delivers every value to every receiver, and bounds what a slow one can hold back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::{error, fmt};

use super::endpoints::Endpoints;
use crate::task::Shrink;

/// Creates a channel that delivers each value to each receiver.
///
/// It keeps the latest `capacity` values for receivers that have not received them yet. Sending
/// never waits: a receiver that is further behind loses the oldest values, and is told how many.
///
/// A value is one allocation, whatever the number of receivers. Each receiver gets a clone, and the
/// last one the value itself.
///
/// # Panics
///
/// If `capacity` is zero.
///
/// # Examples
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
    assert!(capacity > 0, "`broadcast::channel(0)`: a channel needs room for at least one value");
    let shared = Rc::new(Shared {
        backlog: RefCell::new(Backlog { values: VecDeque::new(), first: 0, receivers: 1 }),
        capacity,
        senders: Endpoints::one(),
    });
    (Sender { shared: Rc::clone(&shared) }, Receiver { shared, next: 0 })
}

struct Shared<T> {
    backlog: RefCell<Backlog<T>>,
    capacity: usize,
    /// Receivers wait for these to send a value.
    senders: Endpoints,
}

/// The values that some receiver has not received. They are numbered in the order of sending.
struct Backlog<T> {
    values: VecDeque<Value<T>>,
    /// The number of the oldest value.
    first: u64,
    receivers: usize,
}

struct Value<T> {
    value: Rc<T>,
    /// How many receivers have not received it.
    unseen: usize,
}

impl<T> Backlog<T> {
    /// The number of the next value to be sent.
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
    /// Drops the oldest values that all receivers have received.
    fn drop_seen(&self) {
        let remove_seen = || {
            let mut backlog = self.backlog.borrow_mut();
            if backlog.values.front()?.unseen > 0 {
                return None;
            }
            backlog.remove_first()
        };
        // One after another: a destructor is foreign code, and nothing is borrowed meanwhile.
        while let Some(value) = remove_seen() {
            drop(value);
        }
    }
}

/// The sending side. Clones send to the same receivers.
pub struct Sender<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends a value to all receivers and returns how many there are.
    ///
    /// # Errors
    ///
    /// Returns the value if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, T> {
        let mut backlog = self.shared.backlog.borrow_mut();
        let receivers = backlog.receivers;
        if receivers == 0 {
            return Err(value);
        }
        let is_full = backlog.values.len() == self.shared.capacity;
        let lost = if is_full { backlog.remove_first() } else { None };
        backlog.values.push_back(Value { value: Rc::new(value), unseen: receivers });
        drop(backlog);
        self.shared.senders.notify_waiters();
        drop(lost);
        Ok(receivers)
    }

    /// Creates a receiver of the values that are sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut backlog = self.shared.backlog.borrow_mut();
        backlog.receivers += 1;
        Receiver { shared: Rc::clone(&self.shared), next: backlog.end() }
    }

    /// The number of receivers.
    #[doc(alias = "receiver_count")]
    pub fn receivers(&self) -> usize {
        self.shared.backlog.borrow().receivers
    }

    /// The number of values that are kept for receivers that have not received them.
    pub fn len(&self) -> usize {
        self.shared.backlog.borrow().values.len()
    }

    /// Whether all receivers have received all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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
        f.debug_struct("Sender")
            .field("receivers", &self.receivers())
            .field("len", &self.len())
            .finish()
    }
}

/// The receiving side. A clone receives what this receiver has still to receive.
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
    /// [`RecvError::Lagged`] if values were lost; the next call returns the oldest that is left.
    /// [`RecvError::Closed`] if all values have been received and all senders have been dropped.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has received nothing.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let shared = &self.shared;
        shared.senders.wait_until(|| self.next < shared.backlog.borrow().end()).await;
        self.take().unwrap_or(Err(RecvError::Closed))
    }

    /// Receives the next value if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::recv`], or [`TryRecvError::Empty`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.take() {
            Some(Ok(value)) => Ok(value),
            Some(Err(RecvError::Lagged(lost))) => Err(TryRecvError::Lagged(lost)),
            None if !self.shared.senders.are_gone() => Err(TryRecvError::Empty),
            None | Some(Err(RecvError::Closed)) => Err(TryRecvError::Closed),
        }
    }

    fn take(&mut self) -> Option<Result<T, RecvError>> {
        let mut backlog = self.shared.backlog.borrow_mut();
        if self.next < backlog.first {
            let lost = backlog.first - self.next;
            self.next = backlog.first;
            return Some(Err(RecvError::Lagged(lost)));
        }
        let next = backlog.values_from(self.next).next()?;
        next.unseen -= 1;
        let value = Rc::clone(&next.value);
        self.next += 1;
        drop(backlog);
        self.shared.drop_seen();
        // The last receiver of the value now holds the only reference to it.
        Some(Ok(Rc::unwrap_or_clone(value)))
    }
}

impl<T> Receiver<T> {
    /// The number of values it has still to receive, including those that were lost.
    pub fn len(&self) -> usize {
        let unseen = self.shared.backlog.borrow().end() - self.next;
        usize::try_from(unseen).unwrap_or(usize::MAX)
    }

    /// Whether it has received all values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut backlog = self.shared.backlog.borrow_mut();
        backlog.receivers += 1;
        backlog.values_from(self.next).for_each(|value| value.unseen += 1);
        Self { shared: Rc::clone(&self.shared), next: self.next }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut backlog = self.shared.backlog.borrow_mut();
        backlog.receivers -= 1;
        backlog.values_from(self.next).for_each(|value| value.unseen -= 1);
        drop(backlog);
        self.shared.drop_seen();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The reason why [`Receiver::recv`] returned no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// This receiver was too slow and lost that many values.
    Lagged(u64),
    /// All values have been received and all senders have been dropped.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(lost) => write!(f, "the receiver was too slow and lost {lost} values"),
            Self::Closed => f.write_str("the channel is closed: all senders were dropped"),
        }
    }
}

impl error::Error for RecvError {}

/// The reason why [`Receiver::try_recv`] returned no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is no value yet.
    Empty,
    /// This receiver was too slow and lost that many values.
    Lagged(u64),
    /// All values have been received and all senders have been dropped.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the channel has no value yet"),
            Self::Lagged(lost) => RecvError::Lagged(*lost).fmt(f),
            Self::Closed => RecvError::Closed.fmt(f),
        }
    }
}

impl error::Error for TryRecvError {}
