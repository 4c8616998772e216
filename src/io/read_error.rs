//! Why a [`StreamReader`](super::StreamReader) could not read what was asked for.

use std::{error, fmt, io};

use crate::buf::Lease;

/// Why a [`StreamReader`](super::StreamReader) could not read what was asked for.
///
/// It converts to an [`io::Error`], so that `?` works where those are returned: `Incomplete` becomes
/// `UnexpectedEof`, and `LimitOverrun` becomes `InvalidData`.
#[derive(Debug)]
pub enum ReadError {
    /// The end came before all that was expected.
    Incomplete {
        /// What came before the end. The reader has it no more.
        partial: Lease,
        /// How many bytes were expected, if that was known.
        expected: Option<usize>,
    },
    /// More than the reader's limit came before what is looked for.
    LimitOverrun {
        /// So many bytes can be read without tearing a separator, after
        /// [`read_until`](super::StreamReader::read_until): all are still in the reader.
        /// [`read_line`](super::StreamReader::read_line) has discarded them.
        consumed: usize,
    },
    /// The stream failed.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { partial, expected: Some(expected) } => {
                write!(f, "the stream ended after {} of {expected} bytes", partial.len())
            }
            Self::Incomplete { partial, expected: None } => {
                write!(f, "the stream ended after {} bytes, without a separator", partial.len())
            }
            Self::LimitOverrun { consumed } => {
                write!(f, "no separator within the reader's limit, after {consumed} bytes")
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
