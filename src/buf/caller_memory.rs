//! Memory that a caller lends for the time of one call, to be read into.
//!
//! Tokio's `ReadBuf` and `[MaybeUninit<u8>]` are memory that may be uninitialised; `[u8]` is not,
//! and must not become so. Here only initialised bytes can be written to any of them, and it is
//! known how many have been.

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Memory of a caller, to be filled from its start.
pub(crate) struct CallerMemory<'a> {
    start: *mut u8,
    length: usize,
    filled: usize,
    /// Invariant: one cannot be put in the place of another, whose count would be wrong.
    _memory: PhantomData<Cell<&'a mut [MaybeUninit<u8>]>>,
}

impl CallerMemory<'_> {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Copies bytes to the start, as many as fit, and returns how many.
    pub(crate) fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.length);
        // SAFETY: the memory has `length` bytes, and is borrowed mutably, so that `bytes` does not
        // overlap it.
        unsafe { self.start.copy_from_nonoverlapping(bytes.as_ptr(), count) };
        self.filled = count;
        count
    }

    /// Where it begins; [`len`](Self::len) bytes may be written, with initialised ones.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.start
    }

    /// Notes that the first `count` bytes have been written.
    ///
    /// # Safety
    ///
    /// They have, and are no more than [`len`](Self::len).
    pub(crate) unsafe fn set_filled(&mut self, count: usize) {
        debug_assert!(count <= self.length);
        self.filled = count;
    }
}

impl<'a> From<&'a mut [MaybeUninit<u8>]> for CallerMemory<'a> {
    fn from(memory: &'a mut [MaybeUninit<u8>]) -> Self {
        let (start, length) = (memory.as_mut_ptr().cast(), memory.len());
        Self { start, length, filled: 0, _memory: PhantomData }
    }
}

impl<'a> From<&'a mut [u8]> for CallerMemory<'a> {
    fn from(memory: &'a mut [u8]) -> Self {
        Self { start: memory.as_mut_ptr(), length: memory.len(), filled: 0, _memory: PhantomData }
    }
}

/// Fills the rest of a buffer of Tokio's, which is not initialised before.
#[cfg(feature = "tokio-io")]
pub(crate) fn fill_read_buf<T>(
    buffer: &mut tokio::io::ReadBuf<'_>,
    fill: impl FnOnce(&mut CallerMemory<'_>) -> T,
) -> T {
    // SAFETY: only initialised bytes are written to it.
    let mut memory = CallerMemory::from(unsafe { buffer.unfilled_mut() });
    let outcome = fill(&mut memory);
    let filled = memory.filled;
    // SAFETY: that count of bytes has been written at the start of the unfilled part.
    unsafe { buffer.assume_init(filled) };
    buffer.advance(filled);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_filled_from_its_start_as_far_as_it_goes() {
        let mut bytes = *b"0123456789";
        assert_eq!(CallerMemory::from(&mut bytes[2..5]).fill_from(b"abcdef"), 3);
        assert_eq!(CallerMemory::from(&mut bytes[..0]).fill_from(b"x"), 0);
        assert_eq!(&bytes, b"01abc56789");
        let mut uninit = [MaybeUninit::<u8>::uninit(); 4];
        assert_eq!(CallerMemory::from(&mut uninit[..]).fill_from(b"ab"), 2);
        // SAFETY: two bytes have been written.
        let written = unsafe { [uninit[0].assume_init(), uninit[1].assume_init()] };
        assert_eq!(&written, b"ab");
    }

    #[cfg(feature = "tokio-io")]
    #[test]
    fn a_read_buf_grows_by_what_was_filled_and_is_not_initialised_otherwise() {
        let mut memory = [MaybeUninit::uninit(); 8];
        let mut buffer = tokio::io::ReadBuf::uninit(&mut memory);
        fill_read_buf(&mut buffer, |memory| memory.fill_from(b"ab"));
        fill_read_buf(&mut buffer, |_| ());
        fill_read_buf(&mut buffer, |memory| memory.fill_from(b"cdefghij"));
        assert_eq!(buffer.filled(), b"abcdefgh");
    }
}
