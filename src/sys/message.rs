//! The memory that vectored operations hand to the kernel beside their buffers.

use std::ptr;

/// How many segments an unused list keeps room for: a kilobyte.
const KEPT_SEGMENTS: usize = 64;

/// The message header and segment list of one vectored send. It lives in a box, because the kernel
/// reads it there; a stream keeps the box and uses it again, so that a vectored write allocates
/// only when it has many segments, or more than any before.
pub(crate) struct MessageHeader {
    header: libc::msghdr,
    segments: Vec<libc::iovec>,
}

impl MessageHeader {
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: `msghdr` is plain data, for which all zeroes is the empty message.
        let header = unsafe { std::mem::zeroed() };
        Box::new(Self { header, segments: Vec::new() })
    }

    /// Points the header at `segments`, given as address and length, and returns the sum of the
    /// lengths.
    pub(crate) fn set_segments(
        &mut self,
        segments: impl Iterator<Item = (*const u8, usize)>,
    ) -> usize {
        let mut sum: usize = 0;
        self.segments.clear();
        self.segments.extend(segments.map(|(address, length)| {
            sum = sum.saturating_add(length);
            libc::iovec { iov_base: address.cast_mut().cast(), iov_len: length }
        }));
        self.header.msg_iov = self.segments.as_mut_ptr();
        self.header.msg_iovlen = self.segments.len();
        sum
    }

    /// Makes it fit to be kept: a large write does not hold its memory for ever. Nothing may point
    /// to it.
    pub(crate) fn shrink(&mut self) {
        self.segments.clear();
        self.segments.shrink_to(KEPT_SEGMENTS);
    }

    pub(crate) fn as_ptr(&self) -> *const libc::msghdr {
        ptr::from_ref(&self.header)
    }
}
