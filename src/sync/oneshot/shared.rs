//! What the two kinds of `oneshot` have in common: the state, and the types of the two endpoints.

use std::task::{Context, Poll, Waker, ready};

use crate::sync::state_cell::{StateCell, poll_single};
use crate::task::{coop, wake};

/// The state that the sender and the receiver share.
pub(in crate::sync) struct Shared<T> {
    value: Option<T>,
    sender_is_gone: bool,
    is_closed: bool,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

impl<T> Shared<T> {
    pub(in crate::sync) const fn new() -> Self {
        Self { value: None, sender_is_gone: false, is_closed: false, receiver: None, sender: None }
    }

    pub(in crate::sync) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The value, or `Err` if there will be none.
    fn take(&mut self) -> Option<Result<T, ()>> {
        match self.value.take() {
            Some(value) => Some(Ok(value)),
            None if self.sender_is_gone || self.is_closed => Some(Err(())),
            None => None,
        }
    }
}

/// Stores the value, or returns it if the channel is closed. The caller then calls [`end_sending`].
pub(in crate::sync) fn send<T>(
    cell: &impl StateCell<State = Shared<T>>,
    value: T,
) -> Result<(), T> {
    cell.with(|state| {
        if state.is_closed {
            return Err(value);
        }
        state.value = Some(value);
        Ok(())
    })
}

/// Records that the sender is gone, and wakes the receiver.
pub(in crate::sync) fn end_sending<T>(cell: &impl StateCell<State = Shared<T>>) {
    let (receiver, sender) = cell.with(|state| {
        state.sender_is_gone = true;
        (state.receiver.take(), state.sender.take())
    });
    receiver.into_iter().for_each(wake);
    drop(sender);
}

/// Rejects a value that is sent from now on. One that was sent can still be received.
pub(in crate::sync) fn close<T>(cell: &impl StateCell<State = Shared<T>>) {
    let sender = cell.with(|state| {
        state.is_closed = true;
        state.sender.take()
    });
    sender.into_iter().for_each(wake);
}

/// Closes the channel and drops the receiver's waker, and the value if it was not received: they
/// must not live as long as the sender.
pub(in crate::sync) fn end_receiving<T>(cell: &impl StateCell<State = Shared<T>>) {
    close(cell);
    drop(cell.with(|state| (state.value.take(), state.receiver.take())));
}

/// Takes the value, or `Err` if there will be none. `None` if it may still be sent.
pub(in crate::sync) fn try_receive<T>(
    cell: &impl StateCell<State = Shared<T>>,
) -> Option<Result<T, ()>> {
    cell.with(Shared::take)
}

/// Waits for the value, or for `Err` if there will be none.
pub(in crate::sync) fn poll_receive<T>(
    cell: &impl StateCell<State = Shared<T>>,
    context: &Context<'_>,
) -> Poll<Result<T, ()>> {
    ready!(coop::poll_spend(context));
    poll_single(cell, context, |state| &mut state.receiver, Shared::take)
}

/// Waits until the channel is closed.
pub(in crate::sync) fn poll_closed<T>(
    cell: &impl StateCell<State = Shared<T>>,
    context: &Context<'_>,
) -> Poll<()> {
    ready!(coop::poll_spend(context));
    let look = |state: &mut Shared<T>| state.is_closed.then_some(());
    poll_single(cell, context, |state| &mut state.sender, look)
}

/// Defines `channel` and its two endpoints, which share the state in `$pointer<$cell<_>>`.
macro_rules! oneshot_channel {
    ($(#[$about:meta])* in $pointer:ident<$cell:ident>) => {
        $(#[$about])*
        pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
            let cell = $pointer::new($cell::new(Shared::new()));
            (Sender { cell: $pointer::clone(&cell) }, Receiver { cell })
        }

        /// The sending side.
        ///
        /// Dropped without sending, it tells the receiver that there is no value.
        pub struct Sender<T> {
            cell: $pointer<$cell<Shared<T>>>,
        }

        impl<T> Sender<T> {
            /// Sends the value. This never waits.
            ///
            /// # Errors
            ///
            /// Returns the value if the receiver was dropped or closed.
            #[doc(alias = "asyncio.Future.set_result")]
            pub fn send(self, value: T) -> Result<(), T> {
                shared::send(&*self.cell, value)
            }

            /// Waits until the receiver is dropped or closed.
            ///
            /// # Cancel safety
            ///
            /// Dropping it before it completes has no effect.
            pub async fn closed(&mut self) {
                poll_fn(|context| shared::poll_closed(&*self.cell, context)).await;
            }

            /// Whether the receiver was dropped or closed.
            pub fn is_closed(&self) -> bool {
                self.cell.with(|state| state.is_closed())
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                shared::end_sending(&*self.cell);
            }
        }

        impl<T> fmt::Debug for Sender<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Sender").field("closed", &self.is_closed()).finish_non_exhaustive()
            }
        }

        /// The receiving side: a future of the value.
        ///
        /// Awaiting it fails with [`RecvError`] if the sender is dropped without a value. The value
        /// is received once: awaiting the receiver again by `&mut` fails, too.
        ///
        /// # Cancel safety
        ///
        /// Awaited by `&mut`, nothing is lost if the await is dropped before it completes.
        #[must_use = "futures do nothing unless awaited"]
        pub struct Receiver<T> {
            cell: $pointer<$cell<Shared<T>>>,
        }

        impl<T> Receiver<T> {
            /// Receives the value if it has been sent.
            ///
            /// # Errors
            ///
            /// [`TryRecvError::Empty`] if it may still be sent, otherwise [`TryRecvError::Closed`].
            pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
                match shared::try_receive(&*self.cell) {
                    None => Err(TryRecvError::Empty),
                    Some(outcome) => outcome.map_err(|()| TryRecvError::Closed),
                }
            }

            /// Rejects a value that is sent from now on.
            ///
            /// One that was sent can still be received.
            pub fn close(&mut self) {
                shared::close(&*self.cell);
            }
        }

        impl<T> Future for Receiver<T> {
            type Output = Result<T, RecvError>;

            fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                shared::poll_receive(&*self.cell, context).map_err(|()| RecvError)
            }
        }

        impl<T> Drop for Receiver<T> {
            fn drop(&mut self) {
                shared::end_receiving(&*self.cell);
            }
        }

        impl<T> fmt::Debug for Receiver<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("Receiver")
            }
        }
    };
}

pub(in crate::sync) use oneshot_channel;
