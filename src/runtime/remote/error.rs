//! Why a call was not queued.

use std::{error, fmt, io};

/// The reason why a [`Handle`](crate::Handle) has not passed a closure to its runtime.
///
/// Contains the closure. Converts to an [`io::Error`] of the kind `NotConnected` or `WouldBlock`,
/// which does not contain it.
///
/// # Example
///
/// ```
/// let runtime = annulus::Runtime::new()?;
/// let handle = runtime.handle();
/// drop(runtime);
/// let refused = handle.call(|| 6 * 7).unwrap_err();
/// assert!(refused.is_ended());
/// // The closure was not dropped: it can be called here, or passed to another runtime.
/// assert_eq!(refused.into_inner()(), 42);
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[non_exhaustive]
pub enum SpawnError<F> {
    /// The runtime has ended, or is ending. In a forked child, this is every runtime of its parent.
    Ended(F),
    /// The runtime has not begun
    /// [`Builder::max_remote_calls`](crate::Builder::max_remote_calls) earlier calls.
    Full(F),
}

impl<F> SpawnError<F> {
    /// Returns the closure.
    pub fn into_inner(self) -> F {
        match self {
            Self::Ended(closure) | Self::Full(closure) => closure,
        }
    }

    /// Whether the runtime has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }

    /// Whether the runtime's queue is full.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    pub(in crate::runtime) fn map<G>(self, change: impl FnOnce(F) -> G) -> SpawnError<G> {
        match self {
            Self::Ended(closure) => SpawnError::Ended(change(closure)),
            Self::Full(closure) => SpawnError::Full(change(closure)),
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::Ended(_) => "cannot call the runtime: it has ended",
            Self::Full(_) => {
                "cannot call the runtime: its queue of remote calls is full; call less often, or \
                 raise Builder::max_remote_calls"
            }
        }
    }
}

impl<F> fmt::Debug for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended(_) => "Ended(..)",
            Self::Full(_) => "Full(..)",
        })
    }
}

impl<F> fmt::Display for SpawnError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<F> error::Error for SpawnError<F> {}

impl<F> From<SpawnError<F>> for io::Error {
    /// Drops the closure.
    fn from(error: SpawnError<F>) -> Self {
        let kind = match error {
            SpawnError::Ended(_) => io::ErrorKind::NotConnected,
            SpawnError::Full(_) => io::ErrorKind::WouldBlock,
        };
        io::Error::new(kind, error.text())
    }
}
