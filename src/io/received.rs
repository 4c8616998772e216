//! What a reader has received and not read, as a decoder of frames sees it.

use std::fmt;

use super::read_buffer::ReadBuffer;
use super::{AsyncRead, StreamReader};
use crate::buf::Lease;

/// Received bytes, of which a [decoder](crate::codec::Decoder) takes frames.
///
/// They are in one or two parts: what was received last is in a runtime-owned buffer, and what was
/// received before, and not taken, was copied together. A frame that was received as a whole is
/// [taken](Self::take) without a copy.
pub struct Received<'a>(&'a mut ReadBuffer);

impl Received<'_> {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Copies bytes from the start, as many as there are or fit, and returns how many.
    pub fn copy_to(&self, target: &mut [u8]) -> usize {
        let mut filled = 0;
        for part in self.0.parts() {
            let count = part.len().min(target.len() - filled);
            target[filled..filled + count].copy_from_slice(&part[..count]);
            filled += count;
        }
        filled
    }

    /// The position of the first separator that begins at `from` or later.
    ///
    /// # Panics
    ///
    /// If the separator is empty.
    #[track_caller]
    pub fn find(&self, separator: &[u8], from: usize) -> Option<usize> {
        self.0.find(&[separator], from).map(|found| found.start)
    }

    /// The first `count` bytes, or all if there are fewer, in one piece.
    ///
    /// They are copied together only if they are in two parts.
    pub fn peek(&mut self, count: usize) -> &[u8] {
        self.0.peek(count.min(self.0.len()))
    }

    /// Takes the first `count` bytes. They are copied only if they are in two parts.
    ///
    /// The lease keeps the buffer that the bytes were received into, of 4 KiB or more: to keep a
    /// frame for long, copy it.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Lease {
        assert!(count <= self.len(), "cannot take {count} of {} bytes", self.len());
        self.0.take(count)
    }

    /// Discards the first `count` bytes.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[track_caller]
    pub fn discard(&mut self, count: usize) {
        assert!(count <= self.len(), "cannot discard {count} of {} bytes", self.len());
        self.0.discard(count);
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("len", &self.len()).finish()
    }
}

impl<R: AsyncRead> StreamReader<R> {
    /// The bytes that have been received and not been read.
    pub(crate) fn received(&mut self) -> Received<'_> {
        Received(&mut self.unread)
    }

    /// Waits for more bytes than have been received. Returns whether there were any; none mean EOF.
    pub(crate) async fn receive_more(&mut self) -> std::io::Result<bool> {
        self.begin().await?;
        self.receive().await
    }
}
