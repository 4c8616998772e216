//! A channel for one value, as asyncio's bare `Future` is used.

pub(in crate::sync) mod shared;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::{error, fmt};

use super::state_cell::StateCell;
use shared::{Shared, oneshot_channel};

oneshot_channel! {
    /// Creates a channel for one value.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::spawn;
    /// use annulus::sync::oneshot;
    ///
    /// annulus::run(async {
    ///     let (sender, receiver) = oneshot::channel();
    ///     spawn(async move { sender.send(6 * 7) });
    ///     assert_eq!(receiver.await, Ok(42));
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.Future")]
    in Rc<RefCell>
}

/// No value will arrive.
///
/// The sender was dropped without sending, or the receiver was closed before there was a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed: no value will arrive")
    }
}

impl error::Error for RecvError {}

/// The reason why [`Receiver::try_recv`] returned no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is no value yet.
    Empty,
    /// No value will arrive, or it was already received.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the channel has no value yet"),
            Self::Closed => RecvError.fmt(f),
        }
    }
}

impl error::Error for TryRecvError {}
