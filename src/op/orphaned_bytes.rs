//! What orphaned reads have received from a stream and no read has returned: bytes, then perhaps an
//! error or EOF.

use std::collections::VecDeque;
use std::{io, mem};

use crate::buf::IoBufMut;

/// How much memory an empty queue may keep.
const KEPT_CAPACITY: usize = 4096;

#[derive(Default)]
pub(in crate::op) struct OrphanedBytes {
    bytes: VecDeque<u8>,
    /// An error that the kernel reports once: it comes behind the bytes.
    error: Option<io::Error>,
    /// Whether EOF comes behind the bytes. The kernel would report it again, but to the next read
    /// alone: one that is polled once and dropped, time and again, would never see it.
    has_eof: bool,
}

impl OrphanedBytes {
    pub(in crate::op) const fn new() -> Self {
        Self { bytes: VecDeque::new(), error: None, has_eof: false }
    }

    pub(in crate::op) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub(in crate::op) fn push_error(&mut self, error: io::Error) {
        self.error = Some(error);
    }

    /// Adds EOF or, if the connection has broken, the reason for it.
    pub(in crate::op) fn push_eof(&mut self, reason: Option<io::Error>) {
        self.has_eof = reason.is_none();
        self.error = reason.or(self.error.take());
    }

    /// How many bytes there are.
    pub(in crate::op) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing, neither bytes nor an error nor EOF.
    pub(in crate::op) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.error.is_none() && !self.has_eof
    }

    /// Whether EOF or an error is behind the bytes.
    pub(in crate::op) fn has_end(&self) -> bool {
        self.has_eof || self.has_error()
    }

    pub(in crate::op) fn has_error(&self) -> bool {
        self.error.is_some()
    }

    /// Takes EOF, even from behind bytes. Returns whether there was one.
    pub(in crate::op) fn take_eof(&mut self) -> bool {
        mem::take(&mut self.has_eof)
    }

    /// Takes the error, once all bytes before it have been taken.
    pub(in crate::op) fn take_error(&mut self) -> Option<io::Error> {
        if self.bytes.is_empty() { self.error.take() } else { None }
    }

    /// Moves bytes into the buffer and returns how many: none takes EOF, if there is one.
    pub(in crate::op) fn take_into(&mut self, buffer: &mut impl IoBufMut) -> usize {
        self.take_by(|unread| {
            let count = unread.copy_into(buffer);
            unread.bytes.drain(..count);
            count
        })
    }

    /// [`take_into`](Self::take_into) for memory that is only borrowed.
    pub(in crate::op) fn take_into_slice(&mut self, memory: &mut [u8]) -> usize {
        self.take_by(|unread| {
            let count = memory.len().min(unread.bytes.len());
            for (target, byte) in memory.iter_mut().zip(unread.bytes.drain(..count)) {
                *target = byte;
            }
            count
        })
    }

    fn take_by(&mut self, take: impl FnOnce(&mut Self) -> usize) -> usize {
        self.has_eof &= !self.bytes.is_empty();
        let count = take(self);
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_CAPACITY {
            // An idle connection does not keep the memory of a large read.
            self.bytes = VecDeque::new();
        }
        count
    }

    /// Takes all bytes; without any, EOF.
    pub(in crate::op) fn take_bytes(&mut self) -> Vec<u8> {
        self.has_eof &= !self.bytes.is_empty();
        mem::take(&mut self.bytes).into()
    }

    /// Puts bytes before all others.
    pub(in crate::op) fn push_front(&mut self, bytes: &[u8]) {
        let mut all = VecDeque::with_capacity(bytes.len() + self.bytes.len());
        all.extend(bytes);
        all.append(&mut self.bytes);
        self.bytes = all;
    }

    /// The bytes, the error behind them, and whether EOF is.
    pub(in crate::op) fn into_parts(self) -> (Vec<u8>, Option<io::Error>, bool) {
        (self.bytes.into(), self.error, self.has_eof)
    }

    /// What [`into_parts`](Self::into_parts) has returned, again.
    pub(in crate::op) fn from_parts(
        bytes: Vec<u8>,
        error: Option<io::Error>,
        has_eof: bool,
    ) -> Self {
        Self { bytes: bytes.into(), error, has_eof }
    }

    /// Copies bytes into the buffer, as many as there are or fit, and returns how many.
    pub(in crate::op) fn copy_into(&self, buffer: &mut impl IoBufMut) -> usize {
        let mut filled = 0;
        let (first, second) = self.bytes.as_slices();
        for part in [first, second] {
            let count = part.len().min(buffer.bytes_total() - filled);
            // SAFETY: `filled + count` is at most the buffer's total, and a unique buffer does not
            // overlap the queue.
            unsafe {
                let target = buffer.stable_mut_ptr().add(filled);
                target.copy_from_nonoverlapping(part.as_ptr(), count);
            }
            filled += count;
        }
        // SAFETY: the loop has written the first `filled` bytes.
        unsafe { buffer.set_init(filled) };
        filled
    }
}
