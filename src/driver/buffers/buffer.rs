//! A buffer, and how many there are of a size.

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use crate::buf::{Lease, LeaseMemory};

/// How many buffers there are of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferSize {
    pub(crate) count: u16,
    pub(crate) bytes: usize,
}

/// Which buffers a driver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferSizes {
    /// Provided to the kernel. Their count is a power of two.
    pub(crate) small: BufferSize,
    pub(crate) large: BufferSize,
    /// Provided to the kernel for datagrams. Their count is a power of two.
    pub(crate) datagrams: BufferSize,
    /// How many bytes receives that find no buffer may allocate before they allocate little.
    pub(crate) fallback: usize,
}

impl Default for BufferSizes {
    fn default() -> Self {
        Self {
            small: BufferSize { count: 4096, bytes: 4 * 1024 },
            large: BufferSize { count: 64, bytes: 256 * 1024 },
            datagrams: BufferSize { count: 1024, bytes: 68 * 1024 },
            fallback: 16 << 20,
        }
    }
}

/// A buffer that is neither lent out nor in a pool: its owner may write to it. Dropped, it goes
/// back.
pub(crate) struct OwnedBuffer {
    memory: Arc<LeaseMemory>,
    number: u16,
}

impl OwnedBuffer {
    /// A buffer that has no owner.
    pub(super) fn new(memory: &Arc<LeaseMemory>, number: u16) -> Self {
        Self { memory: Arc::clone(memory), number }
    }

    /// Where it begins.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.memory.address(self.number).as_ptr()
    }

    /// Where it begins, to read.
    pub(crate) fn address(&self) -> *const u8 {
        self.memory.address(self.number).as_ptr()
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> usize {
        self.memory.size()
    }

    /// Lends out its first bytes.
    ///
    /// # Safety
    ///
    /// `length` bytes have been written.
    ///
    /// # Panics
    ///
    /// If it has fewer.
    pub(crate) unsafe fn lend(self, length: usize) -> Lease {
        let this = ManuallyDrop::new(self);
        // SAFETY: the field is moved out once, and the value is not dropped.
        let memory = unsafe { ptr::read(&this.memory) };
        // SAFETY: the caller has written the bytes. There is no lease of the buffer, and its owner,
        // who could write to it, is consumed.
        unsafe { memory.lend(this.number, length) }
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        // SAFETY: as in `lend`. The lease is dropped at once, and takes the buffer back.
        drop(unsafe { self.memory.lend(self.number, 0) });
    }
}
