//! The error of a frame that exceeds a limit.

use std::{error, fmt, io};

/// A frame exceeds the limit of its codec.
///
/// It converts to an [`io::Error`] of the kind `InvalidData`, whose
/// [`get_ref`](io::Error::get_ref) it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLong {
    limit: usize,
    length: Option<u64>,
}

impl FrameTooLong {
    /// The frame has this many bytes, if that is known.
    pub(super) fn new(limit: usize, length: Option<u64>) -> Self {
        Self { limit, length }
    }

    /// The limit, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes the frame has, if that is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }
}

impl fmt::Display for FrameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length {
            Some(length) => write!(f, "a frame of {length} bytes exceeds")?,
            None => f.write_str("a frame whose end has not come exceeds")?,
        }
        write!(f, " the limit of {} bytes", self.limit)
    }
}

impl error::Error for FrameTooLong {}

impl From<FrameTooLong> for io::Error {
    fn from(error: FrameTooLong) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
