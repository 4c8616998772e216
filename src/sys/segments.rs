//! The list of segments that a vectored operation hands to the kernel beside its buffers.

/// The most segments that the kernel takes at once (`UIO_MAXIOV`).
pub(crate) const MAX_SEGMENTS: usize = 1024;

/// How many segments an unused list keeps room for: a kilobyte.
const KEPT: usize = 64;

/// Addresses and lengths, in the kernel's form.
#[derive(Default)]
pub(crate) struct Segments(Vec<libc::iovec>);

impl Segments {
    /// Makes it the list of these segments, given as address and length, and returns the sum of the
    /// lengths. Segments that are empty are left out, and so are those beyond the most.
    pub(crate) fn set(&mut self, segments: impl Iterator<Item = (*const u8, usize)>) -> usize {
        let mut sum: usize = 0;
        self.0.clear();
        let segments = segments.filter(|&(_, length)| length > 0).take(MAX_SEGMENTS);
        self.0.extend(segments.map(|(address, length)| {
            sum = sum.saturating_add(length);
            libc::iovec { iov_base: address.cast_mut().cast(), iov_len: length }
        }));
        sum
    }

    /// Makes it fit to be kept: what a large operation needed is not held for ever.
    pub(crate) fn shrink(&mut self) {
        self.0.clear();
        self.0.shrink_to(KEPT);
    }

    /// The segments, as address and length.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (*const u8, usize)> + '_ {
        self.0.iter().map(|segment| (segment.iov_base.cast_const().cast(), segment.iov_len))
    }

    pub(crate) fn as_ptr(&self) -> *const libc::iovec {
        self.0.as_ptr()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
