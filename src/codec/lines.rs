//! Frames that end with a line feed.

use std::io;

use bytes::{BufMut, BytesMut};

use super::{Decoder, Encoder, FrameTooLong, Received};
use crate::buf::Lease;

/// The default for how many bytes a line has at most.
const DEFAULT_MAX: usize = 64 * 1024;

/// Lines, which end with LF or CR LF.
///
/// Lines are [leases](Lease) of bytes without their ending, not copied if they were received as a
/// whole. They have at most 64 KiB by default. The last line before EOF need not have an ending.
///
/// Anything that is a slice of bytes can be sent, and gets an LF. It is not checked that it has
/// none itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    max: usize,
    /// How many of the received bytes have no LF.
    searched: usize,
}

impl Lines {
    /// Lines of at most 64 KiB.
    pub const fn new() -> Self {
        Self { max: DEFAULT_MAX, searched: 0 }
    }

    /// Sets how many bytes a line has at most, without its ending.
    pub const fn max_line_length(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }

    /// Takes a line that has its ending, or none.
    fn take(&mut self, received: &mut Received<'_>, length: usize) -> io::Result<Lease> {
        self.searched = 0;
        let mut line = received.take(length);
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text).len();
        if text > self.max {
            return Err(FrameTooLong::new(self.max, Some(text as u64)).into());
        }
        line.truncate(text);
        Ok(line)
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for Lines {
    type Item = Lease;
    type Error = io::Error;

    fn decode(&mut self, received: &mut Received<'_>) -> io::Result<Option<Lease>> {
        match received.find(b"\n", self.searched) {
            Some(at) => self.take(received, at + 1).map(Some),
            None => {
                self.searched = received.len();
                Ok(None)
            }
        }
    }

    fn decode_eof(&mut self, received: &mut Received<'_>) -> io::Result<Option<Lease>> {
        match self.decode(received)? {
            None if received.is_empty() => Ok(None),
            None => self.take(received, received.len()).map(Some),
            line => Ok(line),
        }
    }

    /// The line and a CR, whose LF is to come.
    fn max_buffered(&self) -> usize {
        self.max.saturating_add(1)
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for Lines {
    type Error = io::Error;

    fn encode(&mut self, item: T, frame: &mut BytesMut) -> io::Result<()> {
        let line = item.as_ref();
        frame.reserve(line.len() + 1);
        frame.put_slice(line);
        frame.put_u8(b'\n');
        Ok(())
    }
}
