//! Why a queue accepts or returns no item.

use std::{error, fmt};

const CLOSED: &str = "the queue is closed";

/// The queue is closed and has no more items.
#[doc(alias = "asyncio.QueueShutDown")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueClosed;

impl fmt::Display for QueueClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl error::Error for QueueClosed {}

/// The queue is closed and accepts no more items. Contains the item.
#[doc(alias = "asyncio.QueueShutDown")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PutError<T>(pub T);

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PutError(..)")
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl<T> error::Error for PutError<T> {}

/// The reason why `try_put` put no item. Contains the item.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryPutError<T> {
    /// There is no room, or another task waits for it.
    #[doc(alias = "asyncio.QueueFull")]
    Full(T),
    /// The queue is closed.
    #[doc(alias = "asyncio.QueueShutDown")]
    Closed(T),
}

impl<T> TryPutError<T> {
    /// Returns the item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => CLOSED,
        })
    }
}

impl<T> error::Error for TryPutError<T> {}

/// The reason why `try_get` returned no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryGetError {
    /// There is no item, or all items are promised to tasks that wait.
    #[doc(alias = "asyncio.QueueEmpty")]
    Empty,
    /// The queue is closed and has no more items.
    #[doc(alias = "asyncio.QueueShutDown")]
    Closed,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::Closed => CLOSED,
        })
    }
}

impl error::Error for TryGetError {}
