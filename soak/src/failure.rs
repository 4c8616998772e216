//! What may go wrong in a round.

use std::fmt;
use std::io;

use annulus::task::JoinError;

#[derive(Debug)]
pub(crate) enum Failure {
    /// Bytes, messages or events that are not those that were sent.
    Corruption(String),
    /// An operation failed that had no reason to.
    Error(String),
    /// A round did not end.
    Stalled(String),
}

impl Failure {
    pub(crate) fn error(text: impl fmt::Display) -> Self {
        Self::Error(text.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::error(error)
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        Self::error(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corruption(text) => write!(f, "corruption: {text}"),
            Self::Error(text) => write!(f, "error: {text}"),
            Self::Stalled(text) => write!(f, "stalled: {text}"),
        }
    }
}

/// Fails with a corruption unless the two are equal.
pub(crate) fn expect<T: PartialEq + fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    Err(Failure::Corruption(format!("{what}: {found:?} instead of {expected:?}")))
}

/// An error that only says that the peer is gone, as a client that aborts makes its server see.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}
