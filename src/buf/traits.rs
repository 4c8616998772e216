//! The traits of buffers.

use std::ops::{Bound, RangeBounds};

use super::{Registration, Slice};

/// Owned memory that the kernel can read.
///
/// # Safety
///
/// - [`stable_ptr`](Self::stable_ptr) points to [`bytes_init`](Self::bytes_init) initialised bytes.
/// - The pointer and the length stay the same, and the memory stays valid, until the value is
///   dropped or changed through `&mut`: also when the value moves.
///
/// # Example
///
/// ```
/// use annulus::buf::IoBuf;
///
/// /// The first bytes of a page.
/// struct Page(Box<[u8; 4096]>, usize);
///
/// // SAFETY: the page is initialised, and does not move with its box; the length is private.
/// unsafe impl IoBuf for Page {
///     fn stable_ptr(&self) -> *const u8 {
///         self.0.as_ptr()
///     }
///
///     fn bytes_init(&self) -> usize {
///         self.1
///     }
/// }
///
/// assert_eq!(Page(Box::new([7; 4096]), 2).as_bytes(), [7, 7]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a buffer that can be written from",
    label = "expected an owned buffer, such as `Vec<u8>`, `Bytes`, `String` or `&'static [u8]`",
    note = "the kernel may still read the buffer after the call has returned, so a borrowed one will not \
            do: pass it by value (`buffer.to_vec()`), and get it back with the result"
)]
pub unsafe trait IoBuf: Unpin + 'static {
    /// The start of the memory.
    #[doc(alias = "read_ptr")]
    fn stable_ptr(&self) -> *const u8;

    /// How many bytes from the start are initialised. A write sends these.
    fn bytes_init(&self) -> usize;

    /// The initialised bytes.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the implementor promises that this many bytes are initialised here, and they can
        // change only through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.stable_ptr(), self.bytes_init()) }
    }

    /// Returns a range of this buffer, to write from or to read into.
    ///
    /// To read an exact number of bytes, too, read into a range: a container may have more capacity
    /// than was requested. `read_exact(buffer.slice(..4))` reads four bytes.
    ///
    /// The range may begin within the initialised bytes or directly after them, and may end
    /// anywhere: a write ends with the initialised bytes, a read with the capacity at the latest.
    ///
    /// # Panics
    ///
    /// If the range begins after the end of the initialised bytes (a read would leave a gap of
    /// uninitialised ones), or ends before it begins.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::buf::IoBuf;
    ///
    /// let slice = b"hello, world".to_vec().slice(7..);
    /// assert_eq!(slice.as_bytes(), b"world");
    /// assert_eq!(slice.into_inner(), b"hello, world");
    /// ```
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        let begin = match range.start_bound() {
            Bound::Included(&index) => index,
            Bound::Excluded(&index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&index) => index.saturating_add(1),
            Bound::Excluded(&index) => index,
            Bound::Unbounded => usize::MAX,
        };
        Slice::new(self, begin, end)
    }

    /// As what the ring has registered the memory, if it has. Only the library's own types are:
    /// a container of one passes on what that says, or leaves this out.
    #[doc(hidden)]
    #[inline]
    fn registration(&self) -> Option<Registration> {
        None
    }
}

/// Owned memory that the kernel can write.
///
/// # Safety
///
/// In addition to the requirements of [`IoBuf`]:
///
/// - [`stable_mut_ptr`](Self::stable_mut_ptr) points to [`bytes_total`](Self::bytes_total) bytes
///   that may be written, of which the first [`bytes_init`](IoBuf::bytes_init) are initialised.
/// - The value has exclusive access to that memory, and the pointer and the total stay the same
///   under the same conditions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a buffer that can be read into",
    label = "expected an owned buffer, such as `Vec<u8>`, `Box<[u8]>` or `BytesMut`",
    note = "the kernel may still write to the buffer after the call has returned, so a borrowed one \
            will not do: pass it by value, and get it back with the result"
)]
pub unsafe trait IoBufMut: IoBuf {
    /// The start of the memory.
    #[doc(alias = "write_ptr")]
    fn stable_mut_ptr(&mut self) -> *mut u8;

    /// How many bytes from the start can be written: the most that a read requests.
    fn bytes_total(&self) -> usize;

    /// Notes that the first `count` bytes have been written.
    ///
    /// A container whose length can change has this length afterwards.
    ///
    /// # Safety
    ///
    /// The first `count` bytes are initialised, and `count` is at most
    /// [`bytes_total`](Self::bytes_total).
    unsafe fn set_init(&mut self, count: usize);

    /// Copies `bytes` to the start of the memory, as many as fit, and returns how many did.
    ///
    /// Unlike `put_slice` of other crates it does not panic if not all of them fit.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::buf::IoBufMut;
    ///
    /// let mut buffer = Vec::with_capacity(4);
    /// let room = buffer.bytes_total();
    /// assert_eq!(buffer.fill_from(b"more than there is room for"), room.min(27));
    /// assert!(buffer.starts_with(b"more"));
    /// ```
    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.bytes_total());
        // SAFETY: `count` bytes may be written here, and are then initialised. The access is
        // exclusive, so `bytes` does not overlap them.
        unsafe {
            self.stable_mut_ptr().copy_from_nonoverlapping(bytes.as_ptr(), count);
            self.set_init(count);
        }
        count
    }
}
