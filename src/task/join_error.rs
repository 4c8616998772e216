//! Why a task has no output.

use std::any::Any;
use std::{error, fmt, io};

use crate::error::panic_message;

/// The outcome of a task that has no output.
///
/// Converts to an [`io::Error`], whose text is that of the panic.
#[non_exhaustive]
pub enum JoinError {
    /// The task was cancelled, by [`JoinHandle::cancel`](crate::task::JoinHandle::cancel) or
    /// because its runtime ended.
    Cancelled,
    /// The task panicked; the panic's payload, for [`std::panic::resume_unwind`].
    Panicked(Box<dyn Any + Send + 'static>),
    /// The task's runtime ended before the task did. Only a
    /// [`RemoteJoinHandle`](crate::RemoteJoinHandle) returns this; to the handles of its own
    /// thread such a task was cancelled.
    Ended,
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

    /// Whether the task's runtime ended before the task did.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Returns the panic's payload.
    ///
    /// # Errors
    ///
    /// If the task did not panic: the error itself.
    ///
    /// # Example
    ///
    /// ```
    /// annulus::run(async {
    ///     let error = annulus::spawn(async { panic!("boom") }).await.unwrap_err();
    ///     assert_eq!(error.try_into_panic().unwrap().downcast_ref(), Some(&"boom"));
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send + 'static>, Self> {
        match self {
            Self::Panicked(payload) => Ok(payload),
            other => Err(other),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("task was cancelled"),
            Self::Panicked(payload) => write!(f, "task panicked: {}", panic_message(&**payload)),
            Self::Ended => f.write_str("the task's runtime ended before the task did"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Ended => f.write_str("Ended"),
            Self::Panicked(payload) => {
                f.debug_tuple("Panicked").field(&panic_message(&**payload)).finish()
            }
        }
    }
}

impl error::Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        // A panic's payload need not be `Sync`, as an error's source must be; its text is kept.
        io::Error::other(error.to_string())
    }
}
