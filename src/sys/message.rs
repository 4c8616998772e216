//! The memory that vectored sends hand to the kernel beside their buffers.

use std::ptr;

use super::segments::Segments;

/// The message header and segment list of one vectored send. It lives in a box, because the kernel
/// reads it there; a stream keeps the box and uses it again, so that a vectored write allocates
/// only when it has many segments, or more than any before.
pub(crate) struct MessageHeader {
    header: libc::msghdr,
    segments: Segments,
}

impl MessageHeader {
    pub(crate) fn new() -> Box<Self> {
        // SAFETY: `msghdr` is plain data, for which all zeroes is the empty message.
        let header = unsafe { std::mem::zeroed() };
        Box::new(Self { header, segments: Segments::default() })
    }

    /// Points the header at [`segments`](Segments::set), and returns the sum of their lengths.
    pub(crate) fn set_segments(
        &mut self,
        segments: impl Iterator<Item = (*const u8, usize)>,
    ) -> usize {
        let sum = self.segments.set(segments);
        self.header.msg_iov = self.segments.as_ptr().cast_mut();
        self.header.msg_iovlen = self.segments.count();
        sum
    }

    /// Makes it fit to be kept: a large write does not hold its memory for ever. Nothing may point
    /// to it.
    pub(crate) fn shrink(&mut self) {
        self.segments.shrink();
    }

    pub(crate) fn as_ptr(&self) -> *const libc::msghdr {
        ptr::from_ref(&self.header)
    }
}
