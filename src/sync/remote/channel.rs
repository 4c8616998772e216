//! A bounded channel from many senders to one receiver.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::{error, fmt};

use futures_util::Stream;

use super::blocking::block_on;
use crate::sync::permits::{Acquire, HasPermits, PermitRequest, PermitState, update};
use crate::sync::state_cell::{StateCell, poll_single};
use crate::sync::wait::HasWaiters;
use crate::sync::wait_queue::WaitQueue;
use crate::sync::wake::wake_each;
use crate::task::{Shrink, budget};

/// A channel with room for `capacity` values. A sender that finds it full waits, in turn.
///
/// # Panics
///
/// If there is room for none.
///
/// # Example
///
/// ```
/// use std::thread;
/// use annulus::sync::remote;
///
/// annulus::run(async {
///     let (sender, mut receiver) = remote::channel(8);
///     let counting = thread::spawn(move || {
///         for number in 0..100 {
///             sender.send_blocking(number).unwrap();
///         }
///     });
///     let mut sum = 0;
///     while let Some(number) = receiver.recv().await {
///         sum += number;
///     }
///     assert_eq!(sum, (0..100).sum());
///     counting.join().unwrap();
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "mpsc")]
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel needs room for a value");
    let state = State {
        room: PermitState::new(capacity),
        values: VecDeque::new(),
        senders: 1,
        receiver: None,
    };
    let shared = Arc::new(Mutex::new(state));
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

struct State<T> {
    /// Ended when the receiver has closed.
    room: PermitState,
    values: VecDeque<T>,
    senders: usize,
    receiver: Option<Waker>,
}

impl<T> State<T> {
    /// Puts a value for which there is room, and gives whom to wake.
    fn put(&mut self, value: T) -> Result<Option<Waker>, T> {
        if self.room.is_closed() {
            return Err(value);
        }
        self.values.push_back(value);
        Ok(self.receiver.take())
    }

    /// The next value, with the sender to be woken for the room it leaves. Or the end.
    fn take(&mut self) -> Option<Option<(T, Option<Waker>)>> {
        match self.values.pop_front() {
            Some(value) => {
                self.values.shrink();
                self.room.add(1);
                Some(Some((value, self.room.notify_next())))
            }
            None => (self.senders == 0 || self.room.is_closed()).then_some(None),
        }
    }
}

impl<T> HasWaiters for State<T> {
    type Payload = PermitRequest;

    fn waiters(&mut self) -> &mut WaitQueue<PermitRequest> {
        self.room.waiters()
    }
}

impl<T> HasPermits for State<T> {
    fn permits(&mut self) -> &mut PermitState {
        &mut self.room
    }
}

/// Where values are put. Clones send to the same receiver.
pub struct Sender<T> {
    shared: Arc<Mutex<State<T>>>,
}

impl<T> Sender<T> {
    /// Sends a value, and waits for room if there is none.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is gone or closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has sent nothing; the value is dropped with it.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        poll_fn(|context| budget::poll_spend(context)).await;
        let value = match self.try_send(value) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(value)) => return Err(SendError(value)),
            Err(TrySendError::Full(value)) => value,
        };
        if Acquire::new(&*self.shared, 1).await.is_err() {
            return Err(SendError(value));
        }
        let mut receiver = self.shared.with(|state| state.put(value)).map_err(SendError)?;
        wake_each(|| receiver.take());
        Ok(())
    }

    /// Sends a value if there is room and nobody waits for it.
    ///
    /// # Errors
    ///
    /// The value, and why it was not sent.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut receiver = self.shared.with(|state| match state.room.take(1) {
            Some(Ok(())) => state.put(value).map_err(TrySendError::Closed),
            Some(Err(_)) => Err(TrySendError::Closed(value)),
            None => Err(TrySendError::Full(value)),
        })?;
        wake_each(|| receiver.take());
        Ok(())
    }

    /// Sends a value, and blocks the thread until there is room. For threads without a loop.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    ///
    /// # Panics
    ///
    /// In a task, also if there is room: use [`send`](Self::send) or [`try_send`](Self::try_send).
    #[doc(alias = "blocking_send")]
    #[track_caller]
    pub fn send_blocking(&self, value: T) -> Result<(), SendError<T>> {
        block_on(self.send(value))
    }

    /// Whether the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.shared.with(|state| state.room.is_closed())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.with(|state| state.senders += 1);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut receiver = self.shared.with(|state| {
            state.senders -= 1;
            if state.senders == 0 { state.receiver.take() } else { None }
        });
        wake_each(|| receiver.take());
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// Where values come out, also as a [`Stream`].
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
}

impl<T> Receiver<T> {
    /// Waits for the next value. `None` when all have been received and all senders are gone, or the
    /// receiver was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has received nothing.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// The next value, if there is one.
    ///
    /// # Errors
    ///
    /// Says whether one can still come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.shared.with(State::take) {
            None => Err(TryRecvError::Empty),
            Some(taken) => received(taken).ok_or(TryRecvError::Closed),
        }
    }

    /// Waits for the next value, and blocks the thread meanwhile. For threads without a loop.
    ///
    /// # Panics
    ///
    /// In a task, also if there is a value: use [`recv`](Self::recv) or
    /// [`try_recv`](Self::try_recv).
    #[doc(alias = "blocking_recv")]
    #[track_caller]
    pub fn recv_blocking(&mut self) -> Option<T> {
        block_on(self.recv())
    }

    /// Takes no more values. Those that were sent can still be received.
    pub fn close(&mut self) {
        update(&*self.shared, PermitState::close);
    }

    fn poll_recv(&mut self, context: &Context<'_>) -> Poll<Option<T>> {
        ready!(budget::poll_spend(context));
        let look = State::take;
        poll_single(&*self.shared, context, |state| &mut state.receiver, look).map(received)
    }
}

/// Wakes the sender for whom there is room now.
fn received<T>(taken: Option<(T, Option<Waker>)>) -> Option<T> {
    let (value, mut sender) = taken?;
    wake_each(|| sender.take());
    Some(value)
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(context)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
        drop(self.shared.with(|state| (mem::take(&mut state.values), state.receiver.take())));
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, senders) = self.shared.with(|state| (state.values.len(), state.senders));
        f.debug_struct("Receiver").field("len", &len).field("senders", &senders).finish()
    }
}

const CLOSED: &str = "the channel is closed";

/// The receiver is gone or closed. This is the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl<T> error::Error for SendError<T> {}

/// Why a value could not be sent at once; with the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room, or somebody waits for it.
    Full(T),
    /// The receiver is gone or closed.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the channel is full",
            Self::Closed(_) => CLOSED,
        })
    }
}

impl<T> error::Error for TrySendError<T> {}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None has come.
    Empty,
    /// None will come.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the channel is empty",
            Self::Closed => CLOSED,
        })
    }
}

impl error::Error for TryRecvError {}
