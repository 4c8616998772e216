//! One value from one end to another: what the two kinds of `oneshot` do.

use std::task::{Context, Poll, Waker, ready};

use crate::sync::state_cell::{StateCell, poll_single};
use crate::sync::wake::wake_each;
use crate::task::budget;

/// What the two ends share.
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

/// Sends the value, or gives it back. [`end_sending`] is to follow.
pub(in crate::sync) fn send<T>(
    shared: &impl StateCell<State = Shared<T>>,
    value: T,
) -> Result<(), T> {
    shared.with(|state| {
        if state.is_closed {
            return Err(value);
        }
        state.value = Some(value);
        Ok(())
    })
}

pub(in crate::sync) fn end_sending<T>(shared: &impl StateCell<State = Shared<T>>) {
    let (mut receiver, sender) = shared.with(|state| {
        state.sender_is_gone = true;
        (state.receiver.take(), state.sender.take())
    });
    wake_each(|| receiver.take());
    drop(sender);
}

/// No value can be sent any more. One that was sent can still be received.
pub(in crate::sync) fn close<T>(shared: &impl StateCell<State = Shared<T>>) {
    let mut sender = shared.with(|state| {
        state.is_closed = true;
        state.sender.take()
    });
    wake_each(|| sender.take());
}

/// The receiver is gone, and with it its waker, and a value that it has not taken: they are not to
/// live as long as the sender.
pub(in crate::sync) fn end_receiving<T>(shared: &impl StateCell<State = Shared<T>>) {
    close(shared);
    drop(shared.with(|state| (state.value.take(), state.receiver.take())));
}

/// The value that was sent, if there is one and it was not taken.
pub(in crate::sync) fn try_receive<T>(
    shared: &impl StateCell<State = Shared<T>>,
) -> Option<Result<T, ()>> {
    shared.with(Shared::take)
}

pub(in crate::sync) fn poll_receive<T>(
    shared: &impl StateCell<State = Shared<T>>,
    context: &Context<'_>,
) -> Poll<Result<T, ()>> {
    ready!(budget::poll_spend(context));
    poll_single(shared, context, |state| &mut state.receiver, Shared::take)
}

pub(in crate::sync) fn poll_closed<T>(
    shared: &impl StateCell<State = Shared<T>>,
    context: &Context<'_>,
) -> Poll<()> {
    ready!(budget::poll_spend(context));
    let look = |state: &mut Shared<T>| state.is_closed.then_some(());
    poll_single(shared, context, |state| &mut state.sender, look)
}

/// The two ends, which share the value in `$shared<$cell<_>>`.
macro_rules! define_endpoints {
    ($(#[$about:meta])* in $shared:ident<$cell:ident>) => {
        $(#[$about])*
        pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
            let shared = $shared::new($cell::new(Shared::new()));
            (Sender { shared: $shared::clone(&shared) }, Receiver { shared })
        }

        /// Where the value is put. Dropped without, it tells the receiver that there will be none.
        pub struct Sender<T> {
            shared: $shared<$cell<Shared<T>>>,
        }

        impl<T> Sender<T> {
            /// Sends the value. This never waits.
            ///
            /// # Errors
            ///
            /// The value, if nobody will receive it.
            #[doc(alias = "asyncio.Future.set_result")]
            pub fn send(self, value: T) -> Result<(), T> {
                shared::send(&*self.shared, value)
            }

            /// Waits until nobody will receive a value: the receiver was dropped, or closed.
            ///
            /// # Cancel safety
            ///
            /// Dropped, nothing happens.
            pub async fn closed(&mut self) {
                poll_fn(|context| shared::poll_closed(&*self.shared, context)).await;
            }

            /// Whether nobody will receive a value.
            pub fn is_closed(&self) -> bool {
                self.shared.with(|state| state.is_closed())
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                shared::end_sending(&*self.shared);
            }
        }

        impl<T> fmt::Debug for Sender<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Sender").field("closed", &self.is_closed()).finish_non_exhaustive()
            }
        }

        /// Where the value comes out: a future.
        ///
        /// Awaiting it fails with [`RecvError`] if the sender is dropped without a value. It is given out
        /// once; after that, awaiting by `&mut` again fails, too.
        ///
        /// # Cancel safety
        ///
        /// Awaited by `&mut`, it loses nothing when the await is dropped.
        #[must_use = "futures do nothing unless awaited"]
        pub struct Receiver<T> {
            shared: $shared<$cell<Shared<T>>>,
        }

        impl<T> Receiver<T> {
            /// The value, if it is there.
            ///
            /// # Errors
            ///
            /// Says whether it can still come.
            pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
                match shared::try_receive(&*self.shared) {
                    None => Err(TryRecvError::Empty),
                    Some(outcome) => outcome.map_err(|()| TryRecvError::Closed),
                }
            }

            /// Takes no value any more, except one that has been sent.
            pub fn close(&mut self) {
                shared::close(&*self.shared);
            }
        }

        impl<T> Future for Receiver<T> {
            type Output = Result<T, RecvError>;

            fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                shared::poll_receive(&*self.shared, context).map_err(|()| RecvError)
            }
        }

        impl<T> Drop for Receiver<T> {
            fn drop(&mut self) {
                shared::end_receiving(&*self.shared);
            }
        }

        impl<T> fmt::Debug for Receiver<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("Receiver")
            }
        }
    };
}

pub(in crate::sync) use define_endpoints;
