//! A runtime-owned buffer that a file is read into, and that is then lent out.

use crate::buf::{HeapBuffer, IoBuf, IoBufMut, Lease};
use crate::driver::{Driver, OwnedBuffer};

/// How much a file is read into the heap at once, if all large buffers are lent out.
const FALLBACK: usize = 64 * 1024;

/// A large buffer or, if all are lent out, a heap buffer.
pub(crate) struct LeaseBuffer {
    memory: Memory,
    init: usize,
}

enum Memory {
    Large(OwnedBuffer),
    Heap(HeapBuffer),
}

impl LeaseBuffer {
    pub(crate) fn new(driver: &Driver) -> Self {
        let heap = || {
            driver.counters().buffer_misses.increment();
            // A heap buffer has one byte more than is expected.
            Memory::Heap(driver.buffers().heap_buffer(FALLBACK - 1))
        };
        let memory = driver.buffers().take_large().map_or_else(heap, Memory::Large);
        Self { memory, init: 0 }
    }

    /// Lends out what has been read into it.
    pub(crate) fn lend(self) -> Lease {
        match self.memory {
            // A part of no bytes would keep the buffer.
            _ if self.init == 0 => Lease::default(),
            // SAFETY: `set_init` was told that as many bytes have been written.
            Memory::Large(buffer) => unsafe { buffer.lend(self.init) },
            // SAFETY: as above, and they are no more than there is room for.
            Memory::Heap(memory) => unsafe { memory.lend(self.init) },
        }
    }
}

// SAFETY: the first `init` bytes have been written (`set_init`). The memory is this value's own,
// and does not move with it.
unsafe impl IoBuf for LeaseBuffer {
    fn stable_ptr(&self) -> *const u8 {
        match &self.memory {
            Memory::Large(buffer) => buffer.address(),
            Memory::Heap(memory) => memory.address(),
        }
    }

    fn bytes_init(&self) -> usize {
        self.init
    }
}

// SAFETY: as above; the buffer has no lease yet, so nothing else reads or writes it.
unsafe impl IoBufMut for LeaseBuffer {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        match &mut self.memory {
            Memory::Large(buffer) => buffer.start(),
            Memory::Heap(memory) => memory.room().0,
        }
    }

    fn bytes_total(&self) -> usize {
        match &self.memory {
            Memory::Large(buffer) => buffer.size(),
            Memory::Heap(memory) => memory.capacity(),
        }
    }

    unsafe fn set_init(&mut self, count: usize) {
        self.init = count;
    }
}
