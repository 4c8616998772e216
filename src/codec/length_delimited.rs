//! Frames that begin with their length.

use std::io;

use bytes::{BufMut, BytesMut};

use super::{DEFAULT_MAX, Decoder, Encoder, FrameTooLong, Received};
use crate::buf::Lease;

/// Frames that begin with their length, which does not count itself.
///
/// By default the length has four bytes, the most significant first, and a frame has at most 8 MiB.
/// A frame that is announced as longer is an error at once; nothing is allocated for it.
///
/// Frames are [leases](Lease), not copied if they were received as a whole. Anything that is a
/// slice of bytes can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthDelimited {
    width: usize,
    is_little_endian: bool,
    max: usize,
}

impl LengthDelimited {
    /// Lengths of four bytes, the most significant first; frames of at most 8 MiB.
    pub const fn new() -> Self {
        Self { width: 4, is_little_endian: false, max: DEFAULT_MAX }
    }

    /// Sets how many bytes a length has.
    ///
    /// # Panics
    ///
    /// If that is none or more than eight.
    #[track_caller]
    pub const fn width(mut self, bytes: usize) -> Self {
        assert!(bytes >= 1 && bytes <= 8, "a length has one to eight bytes");
        self.width = bytes;
        self
    }

    /// Has lengths begin with the least significant byte.
    pub const fn little_endian(mut self) -> Self {
        self.is_little_endian = true;
        self
    }

    /// Sets how many bytes a frame has at most, without its length.
    pub const fn max_frame_length(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }

    /// The length that bytes say.
    fn length_of(self, bytes: &[u8]) -> u64 {
        let fold = |length: u64, byte: &u8| length << 8 | u64::from(*byte);
        if self.is_little_endian {
            bytes.iter().rev().fold(0, fold)
        } else {
            bytes.iter().fold(0, fold)
        }
    }

    /// Whether a length can be written.
    fn fits(self, length: u64) -> bool {
        self.width == 8 || length >> (8 * self.width) == 0
    }
}

impl Default for LengthDelimited {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for LengthDelimited {
    type Item = Lease;
    type Error = io::Error;

    fn decode(&mut self, received: &mut Received<'_>) -> io::Result<Option<Lease>> {
        let mut head = [0; 8];
        let head = &mut head[..self.width];
        if received.copy_to(head) < self.width {
            return Ok(None);
        }
        let announced = self.length_of(head);
        let length = usize::try_from(announced).ok().filter(|&length| length <= self.max);
        let length = length.ok_or_else(|| FrameTooLong::new(self.max, Some(announced)))?;
        if received.len() - self.width < length {
            return Ok(None);
        }
        received.discard(self.width);
        Ok(Some(received.take(length)))
    }

    fn max_buffered(&self) -> usize {
        self.max.saturating_add(self.width)
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for LengthDelimited {
    type Error = io::Error;

    /// Fails with [`FrameTooLong`] if the bytes exceed the limit, and with `InvalidInput` if their
    /// number does not fit.
    fn encode(&mut self, item: T, frame: &mut BytesMut) -> io::Result<()> {
        let bytes = item.as_ref();
        let length = bytes.len() as u64;
        if bytes.len() > self.max {
            return Err(FrameTooLong::new(self.max, Some(length)).into());
        }
        if !self.fits(length) {
            let text = format!("a length of {} bytes cannot say {length}", self.width);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        frame.reserve(self.width + bytes.len());
        if self.is_little_endian {
            frame.put_uint_le(length, self.width);
        } else {
            frame.put_uint(length, self.width);
        }
        frame.put_slice(bytes);
        Ok(())
    }
}
