//! The buffers that received bytes are put into, and who has which.
//!
//! There are three kinds of them, each in memory of its own:
//!
//! - Small ones ([`ProvidedPool`]), of which the kernel selects one when bytes have arrived: for
//!   sockets with small messages, or whose traffic is not known yet.
//! - Large ones ([`LargePool`]), for bulk sockets: filled by a non-blocking recv(2) once data is
//!   known to be available. The one that was returned last is used first, as it is in the cache.
//!
//! - Provided ones for datagrams, each with room for the longest: a datagram that finds too little
//!   room is cut. Only the pages that datagrams have been written to take memory.
//!
//! Each kind is lent out as a [`Lease`](crate::buf::Lease) and returned when that is dropped, on
//! any thread.
//!
//! # What a peer can make a runtime hold
//!
//! When all buffers are lent out, a receive allocates memory (a *fallback*): as much as there is to
//! receive, at most [`MAX_FALLBACK`]. Once such memory comes to a bound
//! ([`Builder::max_fallback_bytes`]), each receive allocates at most [`MAX_FALLBACK_WHEN_SCARCE`].
//! So the runtime holds the pools, that bound, and a page for each lease beyond.
//!
//! At the bound a receive does not wait, because the task that holds the leases may be the one that
//! receives: it would wait for itself. TCP makes the peers wait, as the bytes that no task reads
//! stay in the socket.
//!
//! [`Builder::max_fallback_bytes`]: crate::Builder::max_fallback_bytes

mod buffer;
mod large;
mod provided;
mod region;
mod selected;

use std::cell::{OnceCell, RefCell};

pub(crate) use buffer::{BufferSize, BufferSizes, OwnedBuffer};
pub(super) use selected::Selected;

use crate::buf::{HeapBuffer, HeapTally};
use crate::error::Incident;
use crate::sys::Ring;
use large::LargePool;
use provided::{Group, ProvidedPool};

/// How many bytes a receive that found no buffer allocates at most.
const MAX_FALLBACK: usize = 64 * 1024;

/// How many it allocates at most once many have been allocated.
const MAX_FALLBACK_WHEN_SCARCE: usize = 4096;

/// How many it allocates at least: the allocator gives no fewer.
const MIN_FALLBACK: usize = 24;

/// The buffers of a driver.
pub(crate) struct Buffers {
    sizes: BufferSizes,
    /// Made when the first buffer is wanted.
    pools: OnceCell<RefCell<Pools>>,
    /// Made when a datagram is first to be received into one. `None` within if the kernel has no
    /// provided buffers, or there is no memory.
    datagrams: OnceCell<RefCell<Option<ProvidedPool>>>,
    /// Memory that receives have allocated.
    fallback: HeapTally,
}

struct Pools {
    /// `None` if the kernel has no provided buffers, or there is no memory.
    provided: Option<ProvidedPool>,
    /// `None` if there is no memory.
    large: Option<LargePool>,
}

impl Buffers {
    pub(super) fn new(sizes: BufferSizes) -> Self {
        Self {
            sizes,
            pools: OnceCell::new(),
            datagrams: OnceCell::new(),
            fallback: HeapTally::default(),
        }
    }

    #[inline]
    pub(super) fn are_made(&self) -> bool {
        self.pools.get().is_some()
    }

    /// Reserves the memory, and provides the small ones to the kernel, as many of each as there is
    /// memory for. Returns what is to be reported.
    pub(super) fn make(&self, ring: Option<&mut Ring>) -> Vec<Incident> {
        let BufferSizes { small, large, .. } = self.sizes;
        let provided = ring.and_then(|ring| ProvidedPool::register(small, Group::SMALL, ring).ok());
        let large_pool = LargePool::new(large);
        let granted_large = large_pool.as_ref().map_or(0, LargePool::count);
        // Where the kernel has no provided buffers, memory is not lacking.
        let granted_small = provided.as_ref().map_or(small.count, ProvidedPool::count);
        let pools = Pools { provided, large: large_pool };
        self.pools.set(RefCell::new(pools)).ok().expect("the buffers are made once");
        let missing = |(BufferSize { count: requested, bytes }, granted)| {
            (granted < requested).then_some(Incident::FewerLeases { requested, granted, bytes })
        };
        [(large, granted_large), (small, granted_small)].into_iter().filter_map(missing).collect()
    }

    #[inline]
    pub(super) fn are_datagrams_made(&self) -> bool {
        self.datagrams.get().is_some()
    }

    /// Reserves the memory of the buffers for datagrams and provides the first of them.
    pub(super) fn make_datagrams(&self, ring: Option<&mut Ring>) {
        let size = self.sizes.datagrams;
        let pool = ring.and_then(|ring| ProvidedPool::register(size, Group::DATAGRAMS, ring).ok());
        self.datagrams.set(RefCell::new(pool)).ok().expect("the buffers are made once");
    }

    fn datagrams(&self) -> &RefCell<Option<ProvidedPool>> {
        self.datagrams.get().expect("`Driver::datagram_buffers` makes the buffers")
    }

    /// Whether there are provided buffers for datagrams.
    pub(crate) fn has_datagrams(&self) -> bool {
        self.datagrams().borrow().is_some()
    }

    /// The provided buffer that the completion of a receive of datagrams has named.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub(crate) fn claim_datagram(&self, number: u16) -> OwnedBuffer {
        let pool = self.datagrams().borrow();
        pool.as_ref().expect("only provided buffers are selected").claim(number)
    }

    /// The kernel found no buffer for a datagram: provides some more, as datagrams come in bursts.
    /// Returns whether it has, which it has not at the bound.
    pub(crate) fn grow_datagrams(&self) -> bool {
        const MORE: usize = 32;
        let mut pool = self.datagrams().borrow_mut();
        pool.as_mut().is_some_and(|pool| (0..MORE).take_while(|_| pool.grow()).count() > 0)
    }

    /// Allocates memory for a datagram of `length` bytes, however much has been allocated: less
    /// would cut it.
    pub(crate) fn datagram_heap_buffer(&self, length: usize) -> HeapBuffer {
        HeapBuffer::counted((length + 1).max(MIN_FALLBACK), &self.fallback)
    }

    #[inline]
    fn pools(&self) -> &RefCell<Pools> {
        self.pools.get().expect("`Driver::buffers` makes the buffers")
    }

    /// Whether there are provided buffers.
    #[inline]
    pub(crate) fn has_provided(&self) -> bool {
        self.pools().borrow().provided.is_some()
    }

    /// How many bytes a provided buffer has.
    #[inline]
    pub(crate) fn provided_size(&self) -> usize {
        self.sizes.small.bytes
    }

    /// The provided buffer that a completion has named.
    ///
    /// # Panics
    ///
    /// If there are no provided buffers.
    #[inline]
    pub(crate) fn claim_provided(&self, number: u16) -> OwnedBuffer {
        let pools = self.pools().borrow();
        pools.provided.as_ref().expect("only provided buffers are selected").claim(number)
    }

    /// The kernel found no provided buffer: provides one more, up to the bound.
    pub(crate) fn grow_provided(&self) {
        if let Some(provided) = &mut self.pools().borrow_mut().provided {
            let _ = provided.grow();
        }
    }

    /// A large buffer, if there is one.
    pub(crate) fn take_large(&self) -> Option<OwnedBuffer> {
        self.pools().borrow_mut().large.as_mut()?.take()
    }

    /// Allocates memory to receive into where there is no buffer, and `available` bytes to receive.
    pub(crate) fn heap_buffer(&self, available: usize) -> HeapBuffer {
        let is_scarce = self.fallback.bytes() >= self.sizes.fallback;
        let most = if is_scarce { MAX_FALLBACK_WHEN_SCARCE } else { MAX_FALLBACK };
        // One byte more, or a receive of all there is would look like one that had too little room.
        let wanted = (available + 1).clamp(MIN_FALLBACK, most);
        HeapBuffer::counted(wanted.min(self.sizes.large.bytes), &self.fallback)
    }

    /// A turn begins: the kernel has selected this many provided buffers since the one before. What
    /// has been returned is provided again.
    #[inline]
    pub(super) fn collect(&self, selected: Selected) {
        if let Some(pools) = self.pools.get() {
            if let Some(provided) = &mut pools.borrow_mut().provided {
                provided.collect(selected.small());
            }
        }
        if let Some(datagrams) = self.datagrams.get() {
            if let Some(provided) = &mut *datagrams.borrow_mut() {
                provided.collect(selected.datagram());
            }
        }
    }

    /// Gives back the memory of buffers that have not been needed since the last call.
    pub(super) fn trim(&self) {
        if let Some(pools) = self.pools.get() {
            let Pools { provided, large } = &mut *pools.borrow_mut();
            provided.iter_mut().for_each(ProvidedPool::trim);
            large.iter_mut().for_each(LargePool::trim);
        }
        if let Some(datagrams) = self.datagrams.get() {
            datagrams.borrow_mut().iter_mut().for_each(ProvidedPool::trim);
        }
    }

    /// Takes the provided buffers back from the kernel. Nothing may be in flight.
    pub(super) fn release(&self, ring: &mut Ring) {
        if let Some(pools) = self.pools.get() {
            if let Some(provided) = &mut pools.borrow_mut().provided {
                provided.release(ring);
            }
        }
        if let Some(datagrams) = self.datagrams.get() {
            datagrams.borrow_mut().iter_mut().for_each(|provided| provided.release(ring));
        }
    }

    /// How many provided buffers are in use.
    pub(super) fn provided_in_use(&self) -> usize {
        let in_use =
            |pools: &RefCell<Pools>| pools.borrow().provided.as_ref().map(ProvidedPool::in_use);
        self.pools.get().and_then(in_use).unwrap_or(0).into()
    }

    /// How many provided buffers for datagrams are in use.
    pub(super) fn datagrams_in_use(&self) -> usize {
        let in_use =
            |pool: &RefCell<Option<ProvidedPool>>| pool.borrow().as_ref().map(ProvidedPool::in_use);
        self.datagrams.get().and_then(in_use).unwrap_or(0).into()
    }

    /// How many bytes receives have allocated and not freed.
    pub(super) fn fallback_bytes(&self) -> usize {
        self.fallback.bytes()
    }
}
