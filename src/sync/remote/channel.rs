//! A bounded channel from many senders to one receiver.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use futures_util::Stream;
use futures_util::stream::FusedStream;

use super::error::{SendError, TryRecvError, TrySendError};
use crate::sync::permits::{Acquire, HasPermits, PermitState, update};
use crate::sync::state_cell::{StateCell, poll_single};
use crate::task::blocking::block_on;
use crate::task::{Shrink, coop, wake};

/// Creates a channel with room for `capacity` values.
///
/// A sender that finds it full waits for room. Senders that wait are served first in, first out.
///
/// # Panics
///
/// If `capacity` is zero.
///
/// # Examples
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
    assert!(capacity > 0, "`remote::channel(0)`: a channel needs room for at least one value");
    let state = State {
        room: PermitState::new(capacity),
        values: VecDeque::new(),
        senders: 1,
        receiver: None,
    };
    let shared = Arc::new(Mutex::new(state));
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared, is_terminated: false })
}

struct State<T> {
    /// Closed when the receiver is.
    room: PermitState,
    values: VecDeque<T>,
    senders: usize,
    receiver: Option<Waker>,
}

impl<T> State<T> {
    /// Stores a value for which a permit of room was taken, and returns the receiver's waker.
    fn put(&mut self, value: T) -> Result<Option<Waker>, T> {
        if self.room.is_closed() {
            return Err(value);
        }
        self.values.push_back(value);
        Ok(self.receiver.take())
    }

    /// Takes the next value, with the waker of the sender that is granted its room. `Some(None)` if
    /// there will be no more, `None` if there may be.
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

impl<T> HasPermits for State<T> {
    fn permits(&mut self) -> &mut PermitState {
        &mut self.room
    }
}

/// The sending side. Clones send to the same receiver.
pub struct Sender<T> {
    shared: Arc<Mutex<State<T>>>,
}

impl<T> Sender<T> {
    /// Sends a value. Waits for room if there is none.
    ///
    /// # Errors
    ///
    /// Returns the value if the receiver was dropped or closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has sent nothing; the value is dropped with it.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        poll_fn(|context| coop::poll_spend(context)).await;
        let value = match self.try_send(value) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(value)) => return Err(SendError(value)),
            Err(TrySendError::Full(value)) => value,
        };
        if Acquire::new(&*self.shared, 1).await.is_err() {
            return Err(SendError(value));
        }
        let receiver = self.shared.with(|state| state.put(value)).map_err(SendError)?;
        receiver.into_iter().for_each(wake);
        Ok(())
    }

    /// Sends a value if there is room and no other sender waits for it.
    ///
    /// # Errors
    ///
    /// Returns the value, and why it was not sent.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let receiver = self.shared.with(|state| match state.room.take(1) {
            Some(Ok(())) => state.put(value).map_err(TrySendError::Closed),
            Some(Err(_)) => Err(TrySendError::Closed(value)),
            None => Err(TrySendError::Full(value)),
        })?;
        receiver.into_iter().for_each(wake);
        Ok(())
    }

    /// Sends a value, and blocks the thread until there is room.
    ///
    /// For threads without an event loop.
    ///
    /// # Errors
    ///
    /// Returns the value if the receiver was dropped or closed.
    ///
    /// # Panics
    ///
    /// Inside of a runtime, even if there is room: use [`send`](Self::send) in a task, or
    /// [`try_send`](Self::try_send).
    #[doc(alias = "blocking_send")]
    #[track_caller]
    pub fn send_blocking(&self, value: T) -> Result<(), SendError<T>> {
        block_on(self.send(value), "remote::Sender::send_blocking", "send")
    }

    /// Whether the receiver was dropped or closed.
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
        let receiver = self.shared.with(|state| {
            state.senders -= 1;
            if state.senders == 0 { state.receiver.take() } else { None }
        });
        receiver.into_iter().for_each(wake);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// The receiving side, which is also a [`Stream`] of the values.
///
/// The stream is fused: it has terminated once a receive has returned `None`.
pub struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
    is_terminated: bool,
}

impl<T> Receiver<T> {
    /// Waits for the next value.
    ///
    /// Returns `None` once all values have been received and all senders have been dropped, or this
    /// receiver was closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has received nothing.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Receives the next value if there is one.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if a value may still be sent, otherwise [`TryRecvError::Closed`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.shared.with(State::take) {
            None => Err(TryRecvError::Empty),
            Some(taken) => self.finish(taken).ok_or(TryRecvError::Closed),
        }
    }

    /// Waits for the next value, and blocks the thread until then.
    ///
    /// For threads without an event loop.
    ///
    /// # Panics
    ///
    /// Inside of a runtime, even if there is a value: use [`recv`](Self::recv) in a task, or
    /// [`try_recv`](Self::try_recv).
    #[doc(alias = "blocking_recv")]
    #[track_caller]
    pub fn recv_blocking(&mut self) -> Option<T> {
        block_on(self.recv(), "remote::Receiver::recv_blocking", "recv")
    }

    /// Rejects values that are sent from now on.
    ///
    /// Those that were sent can still be received.
    pub fn close(&mut self) {
        update(&*self.shared, PermitState::close);
    }

    fn poll_recv(&mut self, context: &Context<'_>) -> Poll<Option<T>> {
        ready!(coop::poll_spend(context));
        let poll = poll_single(&*self.shared, context, |state| &mut state.receiver, State::take);
        poll.map(|taken| self.finish(taken))
    }

    /// Wakes the sender that was granted the room of the value.
    fn finish(&mut self, taken: Option<(T, Option<Waker>)>) -> Option<T> {
        let Some((value, sender)) = taken else {
            self.is_terminated = true;
            return None;
        };
        sender.into_iter().for_each(wake);
        Some(value)
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(context)
    }
}

impl<T> FusedStream for Receiver<T> {
    fn is_terminated(&self) -> bool {
        self.is_terminated
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
