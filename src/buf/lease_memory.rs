//! The memory of a runtime's receive buffers, of which parts are lent out as leases.
//!
//! Each buffer counts its leases. A buffer whose last lease is dropped is pushed onto a stack, on
//! whatever thread that happens; the runtime takes the whole stack at once. So a push is one
//! compare-and-swap, and there is no ABA problem: no thread takes a single node off.
//!
//! The memory lives until its last lease is dropped, even when the runtime is gone.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// No buffer, in links.
const NONE: u32 = u32::MAX;

/// More leases of one buffer than memory could hold: a program forgets clones in a loop.
const MAX_LEASES: u32 = u32::MAX / 2;

/// The memory of several buffers of one size.
pub(crate) struct LeaseMemory {
    start: NonNull<u8>,
    /// Of each buffer, in bytes.
    size: usize,
    buffers: Box<[Buffer]>,
    /// Keeps the memory mapped. Each lease holds this `LeaseMemory`, and so does the driver until
    /// the kernel has released every buffer.
    _owner: Box<dyn Any + Send + Sync>,
    /// The buffer that was returned last, or [`NONE`].
    returned: AtomicU32,
}

struct Buffer {
    /// How many leases of this buffer there are.
    leases: AtomicU32,
    /// The buffer that was returned before this one, or [`NONE`].
    next: AtomicU32,
}

// SAFETY: a buffer's memory is read only through its leases, and written only while it has none (by
// the kernel, or by the driver, which then owns its number). `leases` and `returned` order the two.
// The other fields are atomic or never change.
unsafe impl Send for LeaseMemory {}
// SAFETY: as above.
unsafe impl Sync for LeaseMemory {}

impl LeaseMemory {
    /// Memory for `count` buffers of `size` bytes, one after another from `start` on.
    ///
    /// # Safety
    ///
    /// As long as `owner` lives, the memory is valid for reads and writes, and nothing else uses
    /// it.
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
        assert!(usize::from(buffer) < self.buffers.len(), "buffer number out of range");
        // SAFETY: `new` was given memory for this many buffers, and the number is one of them.
        unsafe { self.start.add(usize::from(buffer) * self.size) }
    }

    /// Whether any buffer has been returned.
    pub(crate) fn has_returned(&self) -> bool {
        self.returned.load(Ordering::Relaxed) != NONE
    }

    /// Takes the buffers that have been returned.
    pub(crate) fn take_returned(&self, mut take: impl FnMut(u16)) {
        // Acquire: every read through a lease of these buffers has happened.
        let mut next = self.returned.swap(NONE, Ordering::Acquire);
        while next != NONE {
            let buffer = next as u16;
            next = self.buffers[usize::from(buffer)].next.load(Ordering::Relaxed);
            take(buffer);
        }
    }

    /// Notes the first lease of a buffer.
    pub(super) fn begin_lease(&self, buffer: u16) {
        self.leases(buffer).store(1, Ordering::Relaxed);
    }

    /// Notes one more lease of a buffer that has one.
    pub(super) fn add_lease(&self, buffer: u16) {
        // Relaxed: the caller has a lease, so the count is not zero, and the new one orders
        // nothing.
        if self.leases(buffer).fetch_add(1, Ordering::Relaxed) > MAX_LEASES {
            std::process::abort();
        }
    }

    /// Whether the caller's lease of a buffer is its only one.
    pub(super) fn has_one_lease(&self, buffer: u16) -> bool {
        // Acquire: what other leases have read comes before what the caller writes.
        self.leases(buffer).load(Ordering::Acquire) == 1
    }

    /// Notes the end of a lease. The last one returns the buffer.
    pub(super) fn end_lease(&self, buffer: u16) {
        // An only lease meets no other: another could be made only from this one. Acquire: what
        // other leases have read comes before the buffer is written again.
        if self.has_one_lease(buffer) || self.leases(buffer).fetch_sub(1, Ordering::AcqRel) == 1 {
            self.push_returned(buffer);
        }
    }

    fn leases(&self, buffer: u16) -> &AtomicU32 {
        &self.buffers[usize::from(buffer)].leases
    }

    fn push_returned(&self, buffer: u16) {
        let link = &self.buffers[usize::from(buffer)].next;
        let mut newest = self.returned.load(Ordering::Relaxed);
        loop {
            link.store(newest, Ordering::Relaxed);
            // Release: `take_returned` sees the link, and follows what was read through the lease.
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
