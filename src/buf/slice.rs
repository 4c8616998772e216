//! A range of a buffer.

use super::{IoBuf, IoBufMut, Registration};

/// A range of a buffer, made by [`IoBuf::slice`].
///
/// A read into a slice changes nothing outside it. The container's length grows if the bytes read
/// go beyond it, and never shrinks.
#[derive(Debug)]
pub struct Slice<B> {
    buffer: B,
    begin: usize,
    end: usize,
}

impl<B: IoBuf> Slice<B> {
    pub(super) fn new(buffer: B, begin: usize, end: usize) -> Self {
        let init = buffer.bytes_init();
        assert!(begin <= init, "slice begins at {begin}, but only {init} bytes are initialised");
        assert!(begin <= end, "slice begins at {begin} but ends at {end}");
        Self { buffer, begin, end }
    }

    /// Returns the whole buffer.
    pub fn get_ref(&self) -> &B {
        &self.buffer
    }

    /// Returns the whole buffer, by value.
    pub fn into_inner(self) -> B {
        self.buffer
    }
}

// SAFETY: `begin` is within the inner buffer's initialised bytes: `new` checks it, `set_init` keeps
// it, and there is no other way to change the inner buffer while it is sliced. So the pointer is in
// bounds, and the inner buffer's promises carry over.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn stable_ptr(&self) -> *const u8 {
        // SAFETY: `begin` is at most the number of initialised bytes.
        unsafe { self.buffer.stable_ptr().add(self.begin) }
    }

    fn bytes_init(&self) -> usize {
        self.buffer.bytes_init().min(self.end) - self.begin
    }

    fn registration(&self) -> Option<Registration> {
        self.buffer.registration()
    }
}

// SAFETY: as above; the range ends within the inner buffer's writable bytes.
unsafe impl<B: IoBufMut> IoBufMut for Slice<B> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        // SAFETY: `begin` is at most the number of initialised bytes.
        unsafe { self.buffer.stable_mut_ptr().add(self.begin) }
    }

    fn bytes_total(&self) -> usize {
        self.buffer.bytes_total().min(self.end) - self.begin
    }

    unsafe fn set_init(&mut self, count: usize) {
        // A read into a range must not cut off the bytes after it, so the length can only grow.
        let init = self.buffer.bytes_init().max(self.begin + count);
        // SAFETY: the bytes before `begin` are initialised, and the caller promises that the
        // `count` bytes from there are.
        unsafe { self.buffer.set_init(init) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_reads_what_is_initialised_within_it() {
        let slice = b"0123456789".to_vec().slice(2..5);
        assert_eq!(slice.as_bytes(), b"234");
        let slice = slice.slice(1..);
        assert_eq!(slice.as_bytes(), b"34");
        assert_eq!(slice.into_inner().into_inner(), b"0123456789");
    }

    #[test]
    fn a_slice_behind_the_length_appends() {
        let mut vec = Vec::with_capacity(16);
        vec.extend_from_slice(b"head");
        let mut slice = vec.slice(4..8);
        assert_eq!((slice.bytes_init(), slice.bytes_total()), (0, 4));
        // SAFETY: the two bytes are written before they are declared initialised.
        unsafe {
            slice.stable_mut_ptr().copy_from_nonoverlapping(b"ab".as_ptr(), 2);
            slice.set_init(2);
        }
        assert_eq!(slice.into_inner(), b"headab");
    }

    #[test]
    fn a_read_into_a_slice_keeps_what_lies_behind_it() {
        let mut slice = b"0123456789".to_vec().slice(2..5);
        // SAFETY: the byte is initialised.
        unsafe { slice.set_init(1) };
        assert_eq!(slice.into_inner(), b"0123456789");
    }

    #[test]
    #[should_panic(expected = "only 4 bytes are initialised")]
    fn a_slice_cannot_leave_a_gap_of_uninitialised_bytes() {
        let mut vec = Vec::with_capacity(16);
        vec.extend_from_slice(b"head");
        let _ = vec.slice(5..);
    }

    #[test]
    #[should_panic(expected = "begins at 3 but ends at 2")]
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    fn a_slice_cannot_be_reversed() {
        let _ = b"head".to_vec().slice(3..2);
    }
}
