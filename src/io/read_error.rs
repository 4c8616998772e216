//! Why a [`StreamReader`](super::StreamReader) could not read what was requested.

use std::{error, fmt, io};

use crate::buf::Lease;

/// Why a [`StreamReader`](super::StreamReader) could not read what was requested.
///
/// It converts to an [`io::Error`], so that `?` works in functions that return one: `Incomplete`
/// becomes `UnexpectedEof`, and `LimitOverrun` becomes `InvalidData`.
#[doc(alias = "asyncio.IncompleteReadError")]
#[doc(alias = "asyncio.LimitOverrunError")]
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// EOF came before all expected bytes.
    Incomplete {
        /// The bytes before EOF. They are no longer in the reader.
        partial: Lease,
        /// How many bytes were expected, if a number was given.
        expected: Option<usize>,
    },
    /// More bytes than the reader's limit came before a separator.
    LimitOverrun {
        /// How many bytes can be read without tearing a separator. After
        /// [`read_until`](super::StreamReader::read_until) they are still in the reader;
        /// [`read_line`](super::StreamReader::read_line) has discarded them.
        consumed: usize,
    },
    /// The source failed.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { partial, expected: Some(expected) } => {
                write!(f, "EOF after {} of {expected} bytes", partial.len())
            }
            Self::Incomplete { partial, expected: None } => {
                write!(f, "EOF after {} bytes, before a separator", partial.len())
            }
            Self::LimitOverrun { consumed } => {
                write!(f, "no separator in {consumed} bytes, which exceeds the reader's limit")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl error::Error for ReadError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Incomplete { .. } | Self::LimitOverrun { .. } => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match error {
            ReadError::Io(error) => return error,
            ReadError::Incomplete { .. } => io::ErrorKind::UnexpectedEof,
            ReadError::LimitOverrun { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
