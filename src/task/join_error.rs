//! Why a task has no output.

use std::any::Any;
use std::{error, fmt, io};

use crate::error::panic_message;

/// What a task ended with instead of an output.
pub enum JoinError {
    /// It was cancelled, by [`JoinHandle::cancel`](crate::task::JoinHandle::cancel) or because its
    /// runtime ended.
    Cancelled,
    /// It panicked; this is the panic's payload, for [`std::panic::resume_unwind`].
    Panicked(Box<dyn Any + Send + 'static>),
}

impl JoinError {
    /// Whether the task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, Self::Panicked(_))
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("task was cancelled"),
            Self::Panicked(payload) => write!(f, "task panicked: {}", panic_message(&**payload)),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Panicked(payload) => {
                f.debug_tuple("Panicked").field(&panic_message(&**payload)).finish()
            }
        }
    }
}

impl error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        // The payload of a panic need not be `Sync`, as an error's source must; its text is kept.
        io::Error::other(error.to_string())
    }
}
