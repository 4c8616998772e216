//! Received bytes in memory of the runtime's.
//!
//! The runtime has a few large buffers, and the kernel puts what has arrived into one of them when it
//! has arrived: an idle connection holds none. What was received is lent out as a [`Lease`]. The
//! buffer goes back when its last lease is dropped, on whatever thread, and also after the runtime is
//! gone: the memory lives as long as its last lease.
//!
//! Each buffer counts its leases. A returned one goes to a stack that any thread may push to and that
//! the runtime empties as a whole, so that a push needs one compare-and-swap and no node can be
//! mistaken for an older use of it.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::IoBuf;
use super::own_memory::OwnMemory;

/// No buffer, in links.
const NONE: u32 = u32::MAX;

/// More leases of one buffer than memory could hold: somebody forgets clones in a loop.
const MOST_LEASES: u32 = u32::MAX / 2;

/// The memory of all buffers.
pub(crate) struct LeaseMemory {
    start: NonNull<u8>,
    /// Of each buffer, in bytes.
    size: usize,
    buffers: Box<[Buffer]>,
    /// Keeps the memory. Each lease holds this, and so does the driver until the kernel has let go of every
    /// buffer.
    _owner: Box<dyn Any + Send + Sync>,
    /// The buffer that was returned last, or [`NONE`].
    returned: AtomicU32,
}

struct Buffer {
    /// How many leases of it there are.
    leases: AtomicU32,
    /// The one that was returned before it, or [`NONE`].
    next: AtomicU32,
}

// SAFETY: the memory of a buffer is read through its leases alone, and written only (by the kernel, or
// by whoever holds its number) while there is none; going from one to the other is ordered by
// `leases` and `returned`. The rest is atomic or never changes.
unsafe impl Send for LeaseMemory {}
// SAFETY: as above.
unsafe impl Sync for LeaseMemory {}

impl LeaseMemory {
    /// So many buffers of a size, which follow each other from `start` on.
    ///
    /// # Safety
    ///
    /// As long as `owner` is there, the memory is valid for reads and writes, and nothing else uses it.
    pub(crate) unsafe fn new(
        start: NonNull<u8>,
        count: u16,
        size: usize,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Self {
        let buffer = || Buffer { leases: AtomicU32::new(0), next: AtomicU32::new(NONE) };
        let buffers = (0..count).map(|_| buffer()).collect();
        Self { start, size, buffers, _owner: owner, returned: AtomicU32::new(NONE) }
    }

    /// The size of each buffer, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The start of a buffer.
    pub(crate) fn address(&self, buffer: u16) -> NonNull<u8> {
        assert!(usize::from(buffer) < self.buffers.len(), "there is such a buffer");
        // SAFETY: the buffer lies within the memory.
        unsafe { self.start.add(usize::from(buffer) * self.size) }
    }

    /// Lends the first `length` bytes of a buffer.
    ///
    /// # Safety
    ///
    /// They have been written; there is no lease of the buffer, and nobody writes to it until it has
    /// been [returned](Self::take_returned).
    pub(crate) unsafe fn lend(self: &Arc<Self>, buffer: u16, length: usize) -> Lease {
        assert!(length <= self.size, "what was received fits in its buffer");
        self.buffers[usize::from(buffer)].leases.store(1, Ordering::Relaxed);
        let memory = Memory::Lent { memory: Arc::clone(self), buffer };
        Lease { start: self.address(buffer), length, memory }
    }

    /// Whether a buffer has come back.
    pub(crate) fn has_returned(&self) -> bool {
        self.returned.load(Ordering::Relaxed) != NONE
    }

    /// Takes the buffers that have come back.
    pub(crate) fn take_returned(&self, mut take: impl FnMut(u16)) {
        // Acquire: what was read of them through leases has been read.
        let mut next = self.returned.swap(NONE, Ordering::Acquire);
        while next != NONE {
            let buffer = next as u16;
            next = self.buffers[usize::from(buffer)].next.load(Ordering::Relaxed);
            take(buffer);
        }
    }

    fn give_back(&self, buffer: u16) {
        let link = &self.buffers[usize::from(buffer)].next;
        let mut newest = self.returned.load(Ordering::Relaxed);
        loop {
            link.store(newest, Ordering::Relaxed);
            // Release: the link is seen, and what was read through the lease has been read.
            match self.returned.compare_exchange_weak(
                newest,
                u32::from(buffer),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => newest = now,
            }
        }
    }
}

/// Received bytes, in a buffer of the runtime's that goes back when its last lease is dropped.
///
/// It derefs to `[u8]`, can be written to a stream as it is, turns into [`Bytes`] without a copy, and
/// may be sent to other threads. Made by [`TcpStream::recv`](crate::net::TcpStream::recv).
///
/// The buffers of a runtime are few: whoever wants to keep received bytes for long copies them
/// (`lease.to_vec()`). When all are lent, receives take memory of their own, which costs more
/// ([`Builder::own_leases`](crate::Builder::own_leases));
/// [`Metrics::buffer_misses`](crate::Metrics::buffer_misses) counts them.
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
/// #     let mut listener = annulus::net::TcpListener::bind("127.0.0.1:0").await?;
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
    pub(super) start: NonNull<u8>,
    pub(super) length: usize,
    pub(super) memory: Memory,
}

pub(super) enum Memory {
    /// A buffer of the runtime's.
    Lent { memory: Arc<LeaseMemory>, buffer: u16 },
    /// Its own.
    Own(Arc<OwnMemory>),
    /// Owned by the caller that made them, and possibly shared.
    Shared(Bytes),
}

// SAFETY: the bytes are not written while the lease is there, and its memory is `Send + Sync`.
unsafe impl Send for Lease {}
// SAFETY: as above.
unsafe impl Sync for Lease {}

impl Lease {
    /// Splits the lease in two: afterwards this one has the bytes from `at` on, and the one that is
    /// returned those before. Both are of the same buffer.
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
    #[must_use = "the bytes before the place are in what is returned"]
    pub fn split_to(&mut self, at: usize) -> Self {
        assert!(at <= self.length, "a split at {at} of {} bytes", self.length);
        let mut head = self.clone();
        head.length = at;
        self.advance(at);
        head
    }

    /// Forgets the first bytes.
    ///
    /// # Panics
    ///
    /// If `count` is greater than the number of bytes.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.length, "an advance by {count} of {} bytes", self.length);
        // SAFETY: the place is within the bytes or just behind them.
        self.start = unsafe { self.start.add(count) };
        self.length -= count;
    }

    /// The bytes, to be changed in place, as to unmask or decrypt them; `None` if there is another lease
    /// of the same buffer (a clone, or what was split off), or if the memory is that of [`Bytes`].
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
            // Acquire: what others have read through their leases comes before what is written now.
            Memory::Lent { memory, buffer } => {
                memory.buffers[usize::from(*buffer)].leases.load(Ordering::Acquire) == 1
            }
            Memory::Own(memory) => Arc::get_mut(memory).is_some(),
            Memory::Shared(_) => false,
        };
        // SAFETY: so many bytes are initialised here. This is the only lease of them, and borrowed for as
        // long as the slice is: no other can be made, and nothing else reads or writes there.
        is_only.then(|| unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) })
    }

    /// Keeps the first bytes, at most as many as there are.
    pub fn truncate(&mut self, count: usize) {
        self.length = self.length.min(count);
    }
}

impl Clone for Lease {
    /// Another lease of the same buffer.
    fn clone(&self) -> Self {
        let memory = match &self.memory {
            Memory::Lent { memory, buffer } => {
                // Relaxed: whoever has a lease can make more; nothing is ordered by that.
                let leases = &memory.buffers[usize::from(*buffer)].leases;
                if leases.fetch_add(1, Ordering::Relaxed) > MOST_LEASES {
                    std::process::abort();
                }
                Memory::Lent { memory: Arc::clone(memory), buffer: *buffer }
            }
            Memory::Own(memory) => Memory::Own(Arc::clone(memory)),
            Memory::Shared(bytes) => Memory::Shared(bytes.clone()),
        };
        Self { start: self.start, length: self.length, memory }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Memory::Lent { memory, buffer } = &self.memory else { return };
        let leases = &memory.buffers[usize::from(*buffer)].leases;
        // The only lease there is cannot meet another: nobody could make one. Acquire: what others
        // have read through theirs comes before the buffer is written again.
        if leases.load(Ordering::Acquire) == 1 || leases.fetch_sub(1, Ordering::AcqRel) == 1 {
            memory.give_back(*buffer);
        }
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes were received here, and nobody writes to them while there is a lease.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for Lease {
    /// No bytes.
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

impl From<Vec<u8>> for Lease {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(OwnMemory::from(bytes))
    }
}

impl From<Lease> for Bytes {
    /// The same memory: the buffer goes back when the last of these bytes is dropped.
    fn from(lease: Lease) -> Self {
        Self::from_owner(lease)
    }
}

// SAFETY: the bytes are initialised, and neither they nor their place change while the lease is
// there, wherever it is moved.
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
mod tests {
    use std::thread;

    use super::*;

    fn returned(memory: &LeaseMemory) -> Vec<u16> {
        let mut numbers = Vec::new();
        memory.take_returned(|buffer| numbers.push(buffer));
        numbers
    }

    /// Buffers in memory of the allocator's.
    fn buffers(count: u16, size: usize) -> Arc<LeaseMemory> {
        let mut owner = vec![0_u8; usize::from(count) * size];
        let start = NonNull::new(owner.as_mut_ptr()).unwrap();
        // SAFETY: the memory is the vector's, which is not used otherwise.
        Arc::new(unsafe { LeaseMemory::new(start, count, size, Box::new(owner)) })
    }

    fn lend(memory: &Arc<LeaseMemory>, buffer: u16, content: &[u8]) -> Lease {
        let start = memory.address(buffer).as_ptr();
        // SAFETY: the tests lend each buffer only when it has no lease, and it is large enough.
        unsafe {
            start.copy_from_nonoverlapping(content.as_ptr(), content.len());
            memory.lend(buffer, content.len())
        }
    }

    #[test]
    fn a_buffer_comes_back_with_its_last_lease() {
        let memory = buffers(4, 64);
        let mut rest = lend(&memory, 2, b"head body");
        let head = rest.split_to(5);
        let again = head.clone();
        drop((head, rest));
        assert!(!memory.has_returned());
        assert_eq!(&*again, b"head ");
        drop(again);
        assert!(memory.has_returned());
        assert_eq!(returned(&memory), [2]);
        assert!(returned(&memory).is_empty());
    }

    #[test]
    fn bytes_are_the_same_memory_and_outlive_the_owner() {
        let memory = buffers(1, 64);
        let lease = lend(&memory, 0, b"kept");
        let place = lease.as_ptr();
        let bytes = Bytes::from(lease);
        let part = Bytes::slice(&bytes, 1..3);
        drop((bytes, memory));
        assert_eq!(&part[..], b"ep");
        assert_eq!(part.as_ptr(), place.wrapping_add(1));
    }

    #[test]
    fn buffers_come_back_from_many_threads_at_once() {
        const BUFFERS: u16 = 64;
        let memory = buffers(BUFFERS, 64);
        for _ in 0..if cfg!(miri) { 2 } else { 50 } {
            let leases: Vec<_> = (0..BUFFERS).map(|n| lend(&memory, n, &[n as u8; 8])).collect();
            let halves = leases.clone();
            thread::scope(|scope| {
                for part in [leases, halves] {
                    scope.spawn(move || {
                        for (n, lease) in part.into_iter().enumerate() {
                            assert_eq!(&*lease, [n as u8; 8]);
                        }
                    });
                }
            });
            let mut numbers = returned(&memory);
            numbers.sort_unstable();
            assert_eq!(numbers, (0..BUFFERS).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_bytes_of_the_only_lease_of_a_buffer_can_be_changed() {
        let memory = buffers(2, 64);
        let leases = [lend(&memory, 1, b"head BODY"), Lease::from(b"head BODY".to_vec())];
        for mut lease in leases {
            let head = lease.split_to(5);
            assert!(lease.get_mut().is_none());
            drop(thread::spawn(move || drop(head)).join());
            lease.get_mut().unwrap().make_ascii_lowercase();
            assert_eq!(&*lease, b"body");
            let clone = lease.clone();
            assert!(lease.get_mut().is_none());
            assert_eq!(&*clone, b"body");
        }
        assert!(Lease::from(Bytes::from_static(b"constant")).get_mut().is_none());
    }

    #[test]
    fn a_lease_can_be_cut_from_both_ends() {
        let mut lease = Lease::from(b"0123456789".to_vec());
        lease.advance(2);
        lease.truncate(5);
        assert_eq!(&*lease, b"23456");
        lease.truncate(9);
        assert_eq!(lease.len(), 5);
        assert!(Lease::default().is_empty());
    }

    #[test]
    #[should_panic(expected = "a split at 4 of 3 bytes")]
    fn a_split_behind_the_end_panics() {
        let _ = Lease::from(vec![0; 3]).split_to(4);
    }
}
