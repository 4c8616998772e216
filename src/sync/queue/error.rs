//! Why a queue takes or gives no item.

use std::{error, fmt};

const SHUT_DOWN: &str = "the queue is shut down";

/// The queue is shut down and gives no more items.
#[doc(alias = "asyncio.QueueShutDown")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutDown;

impl fmt::Display for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHUT_DOWN)
    }
}

impl error::Error for ShutDown {}

/// The queue is shut down and takes no more items. This is the item.
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
        f.write_str(SHUT_DOWN)
    }
}

impl<T> error::Error for PutError<T> {}

/// Why an item could not be put at once; with the item.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no room, or somebody waits for it.
    #[doc(alias = "asyncio.QueueFull")]
    Full(T),
    /// The queue is shut down.
    #[doc(alias = "asyncio.QueueShutDown")]
    ShutDown(T),
}

impl<T> TryPutError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) => item,
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::ShutDown(_) => SHUT_DOWN,
        })
    }
}

impl<T> error::Error for TryPutError<T> {}

/// Why there was no item to be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryGetError {
    /// There is no item, or those that are there are promised to those that wait.
    #[doc(alias = "asyncio.QueueEmpty")]
    Empty,
    /// The queue is shut down.
    #[doc(alias = "asyncio.QueueShutDown")]
    ShutDown,
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::ShutDown => SHUT_DOWN,
        })
    }
}

impl error::Error for TryGetError {}
