//! The buffers that received bytes are put into, and who has which.
//!
//! There are two sizes of them, each in memory of its own:
//!
//! - Small ones, [`ProvidedPool`] by the kernel when bytes have arrived: for sockets that bring little, or of
//!   which nothing is known.
//! - Large ones, [`LargePool`]: for sockets that bring much, received into past the ring by whoever knows
//!   that the bytes are there. The one that came back last is used first, as it is in the cache.
//!
//! Either kind is lent out as a [`Lease`] and comes back with it, from any thread.
//!
//! # What a peer can make a runtime hold
//!
//! When all buffers are lent out, a receive takes memory of its own: as much as there is to receive, at
//! most [`OWN`]. Once such memory comes to a bound ([`Builder::max_fallback_bytes`]) each receive takes at most
//! [`LITTLE`]: so the runtime holds the pools, that bound, and a page for each lease beyond.
//!
//! At the bound a receive does not wait, as who holds leases may be the very task that receives: it would
//! wait for itself. What makes peers wait is TCP, as a task that does not read leaves their bytes in the
//! socket.
//!
//! [`Builder::max_fallback_bytes`]: crate::Builder::max_fallback_bytes

mod large;
mod provided;
mod region;

use std::cell::{Cell, OnceCell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use crate::buf::{HeapBuffer, HeapTally, Lease, LeaseMemory};
use crate::driver::Driver;
use crate::error::Incident;
use crate::sys::Ring;
use large::LargePool;
use provided::ProvidedPool;

/// How many bytes memory of its own has at most: it is allocated for each receive.
const OWN: usize = 64 * 1024;

/// How many it has at most where there is much of it.
const LITTLE: usize = 4096;

/// How many it has at least: the allocator gives no fewer.
const LEAST: usize = 24;

/// How many buffers there are of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferSize {
    pub(crate) count: u16,
    /// In bytes.
    pub(crate) bytes: usize,
}

/// What buffers a driver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BufferSizes {
    /// Their count is a power of two.
    pub(crate) small: BufferSize,
    pub(crate) large: BufferSize,
    /// How many bytes of memory of their own receives may have before they take little of it.
    pub(crate) own: usize,
}

impl Default for BufferSizes {
    fn default() -> Self {
        Self {
            small: BufferSize { count: 4096, bytes: 4 * 1024 },
            large: BufferSize { count: 64, bytes: 256 * 1024 },
            own: 16 << 20,
        }
    }
}

/// The buffers of a driver, made when the first is wanted.
pub(super) struct Buffers {
    sizes: BufferSizes,
    pools: OnceCell<RefCell<Pools>>,
    misses: Cell<u64>,
    /// Memory of their own that receives have.
    own: HeapTally,
}

struct Pools {
    /// `None` if the kernel has no such thing, or there is no memory.
    picked: Option<ProvidedPool>,
    /// `None` if there is no memory.
    at_hand: Option<LargePool>,
}

impl Buffers {
    pub(super) fn new(sizes: BufferSizes) -> Self {
        let (pools, misses, own) = (OnceCell::new(), Cell::new(0), HeapTally::default());
        Self { sizes, pools, misses, own }
    }

    /// A turn begins: the kernel has picked so many buffers since the one before, and what has come back
    /// is the kernel's again.
    pub(super) fn collect(&self, picked: u16) {
        if let Some(pools) = self.pools.get() {
            if let Some(pool) = &mut pools.borrow_mut().picked {
                pool.collect(picked);
            }
        }
    }

    /// Gives back the memory of buffers that have not been needed since the last call.
    pub(super) fn trim(&self) {
        if let Some(pools) = self.pools.get() {
            let Pools { picked, at_hand } = &mut *pools.borrow_mut();
            picked.iter_mut().for_each(ProvidedPool::trim);
            at_hand.iter_mut().for_each(LargePool::trim);
        }
    }

    /// Takes the buffers back from the kernel. Nothing may be in core.
    pub(super) fn release(&self, ring: &mut Ring) {
        if let Some(pools) = self.pools.get() {
            if let Some(picked) = &mut pools.borrow_mut().picked {
                picked.release(ring);
            }
        }
    }

    /// How many small buffers are in use.
    pub(super) fn small_in_use(&self) -> usize {
        let in_use =
            |pools: &RefCell<Pools>| pools.borrow().picked.as_ref().map(ProvidedPool::in_use);
        self.pools.get().and_then(in_use).unwrap_or(0).into()
    }

    /// How many bytes of memory of their own receives have.
    pub(super) fn own_bytes(&self) -> usize {
        self.own.bytes()
    }

    /// How often there was no buffer.
    pub(super) fn misses(&self) -> u64 {
        self.misses.get()
    }
}

impl Driver {
    fn pools(&self) -> &RefCell<Pools> {
        self.buffers.pools.get().unwrap_or_else(|| self.make_pools())
    }

    #[cold]
    fn make_pools(&self) -> &RefCell<Pools> {
        let BufferSizes { small, large, .. } = self.buffers.sizes;
        let mut core = self.core.borrow_mut();
        let picked = core.ring().and_then(|ring| ProvidedPool::register(small, ring).ok());
        drop(core);
        let at_hand = LargePool::new(large);
        let got = at_hand.as_ref().map_or(0, LargePool::count);
        // Where the kernel has no such thing, that is no lack of memory.
        let got_small = picked.as_ref().map_or(small.count, ProvidedPool::count);
        let pools = self.buffers.pools.get_or_init(|| RefCell::new(Pools { picked, at_hand }));
        for (BufferSize { count: asked, bytes }, got) in [(large, got), (small, got_small)] {
            if got < asked {
                (self.incidents)(&Incident::FewerLeases { requested: asked, granted: got, bytes });
            }
        }
        pools
    }

    /// Whether there are buffers for the kernel to pick from.
    pub(crate) fn has_provided_buffers(&self) -> bool {
        self.pools().borrow().picked.is_some()
    }

    /// How many bytes the buffers have that the kernel picks.
    pub(crate) fn provided_buffer_size(&self) -> usize {
        self.buffers.sizes.small.bytes
    }

    /// The buffer that a completion has named.
    ///
    /// # Panics
    ///
    /// If the kernel had no buffers.
    pub(crate) fn claim_provided(&self, buffer: u16) -> OwnedBuffer {
        let pools = self.pools().borrow();
        pools.picked.as_ref().expect("only registered buffers are reported").reported(buffer)
    }

    /// The kernel wanted to pick a buffer and there was none: lets it have one more, up to the bound.
    pub(crate) fn grow_provided(&self) {
        if let Some(picked) = &mut self.pools().borrow_mut().picked {
            picked.add();
        }
    }

    /// A buffer to receive into past the ring, if there is one.
    pub(crate) fn take_large_buffer(&self) -> Option<OwnedBuffer> {
        self.pools().borrow_mut().at_hand.as_mut()?.take()
    }

    /// Memory of its own to receive into, where there is no buffer, and so many bytes to receive.
    pub(crate) fn heap_buffer(&self, available: usize) -> HeapBuffer {
        let Buffers { sizes, own, .. } = &self.buffers;
        let most = if own.bytes() < sizes.own { OWN } else { LITTLE };
        // One byte more, or a receive of all there is would look like one of too little room.
        let wanted = (available + 1).clamp(LEAST, most);
        HeapBuffer::counted(wanted.min(sizes.large.bytes), own)
    }

    /// Counts a receive that found all buffers lent out.
    pub(crate) fn note_buffer_miss(&self) {
        self.buffers.misses.set(self.buffers.misses.get() + 1);
    }
}

/// A buffer that is neither lent nor in a pool: its holder may write to it. Dropped, it goes back.
pub(crate) struct OwnedBuffer {
    memory: Arc<LeaseMemory>,
    buffer: u16,
}

impl OwnedBuffer {
    /// Where it begins.
    pub(crate) fn start(&mut self) -> *mut u8 {
        self.memory.address(self.buffer).as_ptr()
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> usize {
        self.memory.size()
    }

    /// Lends out its first bytes.
    ///
    /// # Safety
    ///
    /// So many bytes have been written.
    ///
    /// # Panics
    ///
    /// If it has fewer.
    pub(crate) unsafe fn lend(self, length: usize) -> Lease {
        let this = ManuallyDrop::new(self);
        // SAFETY: each field is moved out once, and the value is not dropped.
        let memory = unsafe { ptr::read(&this.memory) };
        // SAFETY: the caller says so. There is no lease of it, and who could write to it is used up.
        unsafe { memory.lend(this.buffer, length) }
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        // SAFETY: as in `lend`. The lease is dropped at once, and takes it back.
        drop(unsafe { self.memory.lend(self.buffer, 0) });
    }
}
