//! Memory whose alignment is chosen at run time, as direct I/O asks for.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

use super::fixed_room::fixed_room;
use super::registration::Registration;

/// A buffer of bytes with an alignment, for direct I/O (`O_DIRECT`).
///
/// Its length may change, its capacity does not: it is rounded up to a multiple of the alignment,
/// so that a read that fills the buffer is aligned in its length, too.
///
/// [`File::direct_io_alignment`](crate::fs::File::direct_io_alignment) says what a file asks for.
///
/// # Example
///
/// ```
/// use annulus::buf::AlignedBuf;
///
/// let mut block = AlignedBuf::with_capacity(4000, 4096);
/// assert_eq!((block.capacity(), block.as_ptr() as usize % 4096), (4096, 0));
/// block.extend_from_slice(b"a record");
/// // A direct write has a whole block.
/// block.resize(4096, 0);
/// assert!(block.starts_with(b"a record\0"));
/// ```
pub struct AlignedBuf {
    start: NonNull<u8>,
    capacity: usize,
    length: usize,
    alignment: usize,
}

// SAFETY: the memory belongs to this value, and changes only through `&mut`.
unsafe impl Send for AlignedBuf {}
// SAFETY: as above.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// Makes an empty buffer with room for `capacity` bytes.
    ///
    /// The capacity is rounded up to a multiple of `alignment`.
    ///
    /// # Panics
    ///
    /// If the alignment is not a power of two, or the capacity is more than `isize::MAX` bytes.
    #[track_caller]
    #[must_use]
    pub fn with_capacity(capacity: usize, alignment: usize) -> Self {
        // SAFETY: `alloc` is called with a layout of at least one byte (`allocate`).
        Self::allocate(capacity, alignment, |layout| unsafe { alloc(layout) })
    }

    /// Makes a buffer of `length` zero bytes.
    ///
    /// The capacity is `length`, rounded up to a multiple of `alignment`.
    ///
    /// # Panics
    ///
    /// As for [`with_capacity`](Self::with_capacity).
    #[track_caller]
    #[must_use]
    pub fn zeroed(length: usize, alignment: usize) -> Self {
        // SAFETY: as in `with_capacity`.
        let mut this = Self::allocate(length, alignment, |layout| unsafe { alloc_zeroed(layout) });
        this.length = length;
        this
    }

    /// `allocate` gets a layout of at least one byte.
    #[track_caller]
    fn allocate(
        capacity: usize,
        alignment: usize,
        allocate: impl FnOnce(Layout) -> *mut u8,
    ) -> Self {
        assert!(alignment.is_power_of_two(), "the alignment {alignment} is not a power of two");
        let capacity = capacity.checked_next_multiple_of(alignment);
        let layout = capacity.and_then(|size| Layout::from_size_align(size, alignment).ok());
        let layout = layout.expect("the capacity is at most `isize::MAX` bytes");
        let start = if layout.size() == 0 {
            // No memory, but aligned all the same.
            ptr::without_provenance_mut(alignment)
        } else {
            allocate(layout)
        };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, capacity: layout.size(), length: 0, alignment }
    }

    /// Returns the alignment, in bytes.
    pub fn alignment(&self) -> usize {
        self.alignment
    }

    #[expect(clippy::unused_self, reason = "other buffers may be registered")]
    fn registered_as(&self) -> Option<Registration> {
        None
    }
}

fixed_room!(AlignedBuf);

impl Clone for AlignedBuf {
    /// The clone has the same alignment and capacity.
    fn clone(&self) -> Self {
        let mut clone = Self::with_capacity(self.capacity, self.alignment);
        clone.extend_from_slice(self);
        clone
    }
}

impl PartialEq for AlignedBuf {
    /// Whether the bytes are the same.
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for AlignedBuf {}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.capacity > 0 {
            // SAFETY: `allocate` has allocated the memory with this layout, which was valid.
            unsafe {
                let layout = Layout::from_size_align_unchecked(self.capacity, self.alignment);
                dealloc(self.start.as_ptr(), layout);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::{IoBuf, IoBufMut};

    #[test]
    fn an_aligned_buffer_has_its_alignment_and_whole_blocks_of_it() {
        for alignment in [1, 8, 512, 4096, 65_536] {
            for capacity in [0, 1, 511, 512, 4097] {
                let buffer = AlignedBuf::with_capacity(capacity, alignment);
                assert_eq!(buffer.stable_ptr().align_offset(alignment), 0);
                assert_eq!(buffer.capacity(), capacity.next_multiple_of(alignment));
                assert_eq!((buffer.len(), buffer.bytes_total()), (0, buffer.capacity()));
            }
        }
    }

    #[test]
    fn an_aligned_buffer_changes_its_length_within_its_capacity() {
        let mut buffer = AlignedBuf::zeroed(3, 8);
        buffer.extend_from_slice(b"abcd");
        assert_eq!(&*buffer, b"\0\0\0abcd");
        buffer.resize(8, b'!');
        buffer[0] = b'>';
        assert_eq!((&*buffer, buffer.clone()), (&b">\0\0abcd!"[..], buffer.clone()));
        buffer.resize(2, 0);
        buffer.truncate(5);
        assert_eq!(&*buffer, b">\0");
        buffer.clear();
        assert!(buffer.is_empty());
        assert_eq!(buffer.fill_from(b"eight of more"), 8);
        assert_eq!(&*buffer, b"eight of");
    }

    #[test]
    fn a_slice_of_an_aligned_buffer_is_read_into_in_place() {
        let mut slice = AlignedBuf::zeroed(16, 16).slice(4..8);
        assert_eq!(slice.fill_from(b"12345"), 4);
        assert_eq!(&slice.into_inner()[2..10], b"\0\x001234\0\0");
    }

    #[test]
    #[should_panic(expected = "a buffer with room for 2 more bytes cannot take 3")]
    fn an_aligned_buffer_does_not_grow() {
        let mut buffer = AlignedBuf::zeroed(6, 8);
        buffer.extend_from_slice(b"abc");
    }

    #[test]
    #[should_panic(expected = "the alignment 3 is not a power of two")]
    fn an_alignment_is_a_power_of_two() {
        let _ = AlignedBuf::with_capacity(3, 3);
    }
}
