//! The buffers that received bytes are put into, and who has which.
//!
//! There are two sizes of them, each in memory of its own:
//!
//! - Small ones, [`Picked`] by the kernel when bytes have arrived: for sockets that bring little, or of
//!   which nothing is known.
//! - Large ones, [`AtHand`]: for sockets that bring much, received into past the ring by whoever knows
//!   that the bytes are there. The one that came back last is used first, as it is in the cache.
//!
//! Either kind is lent out as a [`Lease`] and comes back with it, from any thread.

mod at_hand;
mod picked;

use std::cell::{Cell, OnceCell, RefCell};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use super::Driver;
use crate::buf::{Lease, LeaseMemory};
use crate::sys::Ring;
use at_hand::AtHand;
use picked::Picked;

/// How many buffers there are of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseSize {
    pub(crate) count: u16,
    /// In bytes.
    pub(crate) bytes: usize,
}

/// What buffers a driver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseSizes {
    /// Their count is a power of two.
    pub(crate) small: LeaseSize,
    pub(crate) large: LeaseSize,
}

/// The buffers of a driver, made when the first is wanted.
pub(super) struct Leases {
    sizes: LeaseSizes,
    pools: OnceCell<RefCell<Pools>>,
    misses: Cell<u64>,
}

struct Pools {
    /// `None` if the kernel has no such thing.
    picked: Option<Picked>,
    at_hand: AtHand,
}

impl Leases {
    pub(super) fn new(sizes: LeaseSizes) -> Self {
        Self { sizes, pools: OnceCell::new(), misses: Cell::new(0) }
    }

    /// A turn begins: what has come back is the kernel's again.
    pub(super) fn collect(&self) {
        if let Some(pools) = self.pools.get() {
            if let Some(picked) = &mut pools.borrow_mut().picked {
                picked.collect();
            }
        }
    }

    /// Takes the buffers back from the kernel. Nothing may be in flight.
    pub(super) fn release(&self, ring: &mut impl Ring) {
        if let Some(pools) = self.pools.get() {
            if let Some(picked) = &mut pools.borrow_mut().picked {
                picked.release(ring);
            }
        }
    }

    /// How many small buffers are in use.
    pub(super) fn small_in_use(&self) -> usize {
        let in_use = |pools: &RefCell<Pools>| pools.borrow().picked.as_ref().map(Picked::in_use);
        self.pools.get().and_then(in_use).unwrap_or(0).into()
    }

    /// How often there was no buffer.
    pub(super) fn misses(&self) -> u64 {
        self.misses.get()
    }
}

impl<R: Ring> Driver<R> {
    fn pools(&self) -> &RefCell<Pools> {
        self.leases.pools.get_or_init(|| {
            let LeaseSizes { small, large } = self.leases.sizes;
            let mut flight = self.flight.borrow_mut();
            let picked = flight.ring().and_then(|ring| Picked::register(small, ring).ok());
            RefCell::new(Pools { picked, at_hand: AtHand::new(large) })
        })
    }

    /// Whether there are buffers for the kernel to pick from.
    pub(crate) fn picks_leases(&self) -> bool {
        self.pools().borrow().picked.is_some()
    }

    /// How many bytes the buffers have that the kernel picks.
    pub(crate) fn picked_bytes(&self) -> usize {
        self.leases.sizes.small.bytes
    }

    /// How many bytes the others have.
    pub(crate) fn lease_bytes(&self) -> usize {
        self.leases.sizes.large.bytes
    }

    /// The buffer that a completion has named.
    ///
    /// # Panics
    ///
    /// If the kernel had no buffers.
    pub(crate) fn reported_lease(&self, buffer: u16) -> Taken {
        let pools = self.pools().borrow();
        pools.picked.as_ref().expect("only registered buffers are reported").reported(buffer)
    }

    /// The kernel wanted to pick a buffer and there was none: lets it have one more, up to the bound.
    pub(crate) fn add_lease(&self) {
        if let Some(picked) = &mut self.pools().borrow_mut().picked {
            picked.add();
        }
    }

    /// A buffer to receive into past the ring, if there is one.
    pub(crate) fn take_lease(&self) -> Option<Taken> {
        self.pools().borrow_mut().at_hand.take()
    }

    /// Counts a receive that found all buffers lent out.
    pub(crate) fn note_lease_miss(&self) {
        self.leases.misses.set(self.leases.misses.get() + 1);
    }
}

/// A buffer that is neither lent nor in a pool: its holder may write to it. Dropped, it goes back.
pub(crate) struct Taken {
    memory: Arc<LeaseMemory>,
    buffer: u16,
}

impl Taken {
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

impl Drop for Taken {
    fn drop(&mut self) {
        // SAFETY: as in `lend`. The lease is dropped at once, and takes it back.
        drop(unsafe { self.memory.lend(self.buffer, 0) });
    }
}
