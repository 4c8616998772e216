//! Received bytes, lent out of runtime-owned memory.
//!
//! The runtime has few receive buffers, and the kernel fills one only when bytes have arrived: an
//! idle connection holds none. What was received is lent out as a [`Lease`]. The buffer returns to
//! the runtime when its last lease is dropped (see [`LeaseMemory`]).

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;

use super::IoBuf;
use super::heap_buffer::HeapBuffer;
use super::lease_memory::LeaseMemory;

/// Received bytes in a runtime-owned buffer.
///
/// The buffer returns to the runtime when its last lease is dropped.
///
/// A lease derefs to `[u8]`, can be written to a stream as it is, converts to [`Bytes`] without a
/// copy, and may be sent to other threads. [`TcpStream::recv`](crate::net::TcpStream::recv) returns
/// one.
///
/// A runtime has few buffers: to keep received bytes for long, copy them (`lease.to_vec()`). When
/// all buffers are lent, a receive allocates memory instead, which costs more
/// ([`Builder::max_fallback_bytes`](crate::Builder::max_fallback_bytes));
/// [`Metrics::buffer_misses`](crate::Metrics::buffer_misses) counts such receives.
///
/// # Example
///
/// ```
/// use annulus::net::TcpStream;
///
/// async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
///     loop {
///         let lease = stream.recv().await?;
///         if lease.is_empty() {
///             return Ok(());
///         }
///         stream.write_all(lease).await.0?;
///     }
/// }
/// # annulus::run(async {
/// #     let listener = annulus::net::TcpListener::bind("127.0.0.1:0").await?;
/// #     let mut client = TcpStream::connect(listener.local_addr()?).await?;
/// #     let server = annulus::spawn(echo(listener.accept().await?.0));
/// #     client.write_all("there and back").await.0?;
/// #     assert_eq!(&*client.recv().await?, b"there and back");
/// #     drop(client);
/// #     server.await.unwrap()
/// # })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lease {
    start: NonNull<u8>,
    length: usize,
    memory: Memory,
}

enum Memory {
    /// A runtime-owned buffer.
    Lent { memory: Arc<LeaseMemory>, buffer: u16 },
    /// A buffer on the heap.
    Heap(Arc<HeapBuffer>),
    /// Bytes of a user, possibly shared.
    Shared(Bytes),
}

impl LeaseMemory {
    /// Lends the first `length` bytes of a buffer.
    ///
    /// # Safety
    ///
    /// The bytes have been written. There is no lease of the buffer, and nothing writes to it until
    /// it has been [returned](Self::take_returned).
    pub(crate) unsafe fn lend(self: &Arc<Self>, buffer: u16, length: usize) -> Lease {
        assert!(length <= self.size(), "more bytes were received than the buffer holds");
        self.begin_lease(buffer);
        let memory = Memory::Lent { memory: Arc::clone(self), buffer };
        Lease { start: self.address(buffer), length, memory }
    }
}

impl HeapBuffer {
    /// Makes a lease of its first `length` bytes.
    ///
    /// # Safety
    ///
    /// That many bytes have been written, and are no more than [`room`](Self::room) said.
    pub(crate) unsafe fn lend(mut self, length: usize) -> Lease {
        // SAFETY: the caller's promise.
        unsafe { self.set_length(length) };
        Lease::from(self)
    }
}

// SAFETY: the bytes are not written while a lease of them exists (see `LeaseMemory`), except
// through `get_mut` of the only one; and all kinds of memory are `Send + Sync`.
unsafe impl Send for Lease {}
// SAFETY: as above.
unsafe impl Sync for Lease {}

impl Lease {
    /// Splits off the bytes before `at` and returns them; this lease keeps the others.
    ///
    /// Both are leases of the same buffer.
    ///
    /// # Panics
    ///
    /// If `at` is greater than the number of bytes.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::buf::Lease;
    ///
    /// let mut rest = Lease::from(b"head body".to_vec());
    /// let head = rest.split_to(5);
    /// assert_eq!((&*head, &*rest), (&b"head "[..], &b"body"[..]));
    /// ```
    #[must_use = "the returned lease has the bytes before `at`"]
    pub fn split_to(&mut self, at: usize) -> Self {
        assert!(at <= self.length, "cannot split a lease of {} bytes at {at}", self.length);
        let mut head = self.clone();
        head.length = at;
        self.advance(at);
        head
    }

    /// Removes the first `count` bytes.
    ///
    /// # Panics
    ///
    /// If `count` is greater than the number of bytes.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.length, "cannot advance a lease of {} bytes by {count}", self.length);
        // SAFETY: `count` is at most the length, so the pointer stays in bounds or one past the
        // end.
        self.start = unsafe { self.start.add(count) };
        self.length -= count;
    }

    /// Returns the bytes for a change in place, such as to unmask or decrypt them.
    ///
    /// Returns `None` if there is another lease of the same buffer (a clone, or a part that was
    /// split off), or if the memory belongs to [`Bytes`].
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::buf::Lease;
    ///
    /// let mut frame = Lease::from(b"head BODY".to_vec());
    /// let head = frame.split_to(5);
    /// assert!(frame.get_mut().is_none(), "the head is a lease of the same buffer");
    /// drop(head);
    /// frame.get_mut().unwrap().make_ascii_lowercase();
    /// assert_eq!(&*frame, b"body");
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        let is_only = match &mut self.memory {
            Memory::Lent { memory, buffer } => memory.has_one_lease(*buffer),
            Memory::Heap(memory) => Arc::get_mut(memory).is_some(),
            Memory::Shared(_) => false,
        };
        // SAFETY: `length` bytes are initialised here. This is the only lease of them, and borrowed
        // as long as the slice: no other can be made meanwhile, and nothing else reads or writes
        // there.
        is_only.then(|| unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) })
    }

    /// Shortens the lease to at most `count` bytes.
    pub fn truncate(&mut self, count: usize) {
        self.length = self.length.min(count);
    }
}

impl Clone for Lease {
    /// Another lease of the same buffer.
    fn clone(&self) -> Self {
        let memory = match &self.memory {
            Memory::Lent { memory, buffer } => {
                memory.add_lease(*buffer);
                Memory::Lent { memory: Arc::clone(memory), buffer: *buffer }
            }
            Memory::Heap(memory) => Memory::Heap(Arc::clone(memory)),
            Memory::Shared(bytes) => Memory::Shared(bytes.clone()),
        };
        Self { start: self.start, length: self.length, memory }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Memory::Lent { memory, buffer } = &self.memory {
            memory.end_lease(*buffer);
        }
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes are initialised here, and not written while a lease of them
        // exists.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for Lease {
    /// A lease of no bytes, which holds no buffer.
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl From<Bytes> for Lease {
    fn from(bytes: Bytes) -> Self {
        let start = NonNull::new(bytes.as_ptr().cast_mut()).expect("a slice's pointer is not null");
        Self { start, length: bytes.len(), memory: Memory::Shared(bytes) }
    }
}

impl From<HeapBuffer> for Lease {
    fn from(mut memory: HeapBuffer) -> Self {
        // From here on only this pointer is used to reach the bytes.
        let (start, length) = memory.written();
        Self { start, length, memory: Memory::Heap(Arc::new(memory)) }
    }
}

impl From<Vec<u8>> for Lease {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(HeapBuffer::from(bytes))
    }
}

impl From<Lease> for Bytes {
    /// Keeps the memory: the buffer returns when the last clone of the `Bytes` is dropped.
    fn from(lease: Lease) -> Self {
        Self::from_owner(lease)
    }
}

// SAFETY: the bytes are initialised, and neither they nor their address change while the lease
// lives, wherever it is moved.
unsafe impl IoBuf for Lease {
    fn stable_ptr(&self) -> *const u8 {
        self.start.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.length
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lent = matches!(self.memory, Memory::Lent { .. });
        f.debug_struct("Lease").field("length", &self.length).field("lent", &lent).finish()
    }
}

#[cfg(test)]
mod tests;
