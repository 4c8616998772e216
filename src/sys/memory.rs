//! The memory that vectored operations hand to the kernel beside their buffers.

use std::ptr;

/// The message header and segment list of one vectored send.
///
/// It lives in a box, because the kernel reads it where it stands; a stream keeps the box and uses
/// it again, so that a vectored write allocates only when it has more segments than any before.
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

    /// Points the header at `segments`, given as address and length.
    pub(crate) fn set_segments(&mut self, segments: impl Iterator<Item = (*const u8, usize)>) {
        self.segments.clear();
        self.segments.extend(segments.map(|(address, length)| libc::iovec {
            iov_base: address.cast_mut().cast(),
            iov_len: length,
        }));
        self.header.msg_iov = self.segments.as_mut_ptr();
        self.header.msg_iovlen = self.segments.len();
    }

    pub(crate) fn as_ptr(&self) -> *const libc::msghdr {
        ptr::from_ref(&self.header)
    }
}
