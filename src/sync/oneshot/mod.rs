//! One value, sent once: what asyncio's bare `Future` is used for.

pub(in crate::sync) mod shared;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::{error, fmt};

use crate::sync::state_cell::StateCell;
use shared::{Shared, define_endpoints};

define_endpoints! {
    /// The two ends of a channel for one value.
    ///
    /// # Example
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

/// The sender was dropped without a value, or the receiver closed before there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value will come")
    }
}

impl error::Error for RecvError {}

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// It has not come yet.
    Empty,
    /// None will come, or it was taken.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no value has come yet"),
            Self::Closed => RecvError.fmt(f),
        }
    }
}

impl error::Error for TryRecvError {}
