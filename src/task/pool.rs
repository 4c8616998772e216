//! A free list for the memory of tasks.
//!
//! A server starts a task for each connection. With memory from the pool that costs a few
//! instructions, while the allocator takes a good part of what starting and joining a task costs.
//! The size of a piece and of the pool are bounded.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

/// Sizes are rounded up to multiples of this.
const STEP: usize = 64;

/// The largest piece, in bytes. Writing a larger future takes longer than allocating memory for it.
const LARGEST: usize = 1024;

/// How many bytes the pool keeps at most.
const MAX_KEPT: usize = 256 * 1024;

/// Without the pool each task has memory of its own, and a sanitizer sees a use after free.
const ENABLED: bool = !cfg!(annulus_unpooled);

/// For one thread.
#[derive(Default)]
pub(super) struct Pool {
    /// For each size, the memory that was returned last; each piece begins with a link.
    free: [Cell<Option<NonNull<Link>>>; CLASSES],
    kept: Cell<usize>,
}

struct Link {
    next: Option<NonNull<Link>>,
}

/// The layout of a task's memory, and the list that keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    layout: Layout,
    /// The index of the list; [`CLASSES`] if none keeps it.
    index: usize,
}

const CLASSES: usize = LARGEST / STEP;

impl Class {
    /// For memory of at least this layout.
    pub(super) const fn of(layout: Layout) -> Self {
        if !ENABLED || layout.size() > LARGEST || layout.align() > STEP {
            return Self { layout, index: CLASSES };
        }
        Self::numbered((layout.size() - 1) / STEP)
    }

    const fn numbered(index: usize) -> Self {
        match Layout::from_size_align((index + 1) * STEP, STEP) {
            Ok(layout) => Self { layout, index },
            Err(_) => unreachable!(),
        }
    }

    /// Frees memory of this class, from any thread.
    ///
    /// # Safety
    ///
    /// The memory came from [`Pool::take`] with this class, and is not used any more.
    pub(super) unsafe fn free(self, memory: NonNull<u8>) {
        // SAFETY: `Pool::take` allocates memory of a class with this layout.
        unsafe { dealloc(memory.as_ptr(), self.layout) };
    }
}

impl Pool {
    /// Returns memory of this class, not initialised.
    #[inline]
    pub(super) fn take(&self, class: Class) -> NonNull<u8> {
        if let Some(free) = self.free.get(class.index) {
            if let Some(memory) = free.get() {
                // SAFETY: `give_back` wrote a link at the beginning of each piece in a list.
                free.set(unsafe { memory.as_ref() }.next);
                self.kept.set(self.kept.get() - class.layout.size());
                return memory.cast();
            }
        }
        allocate(class.layout)
    }

    /// Keeps memory for later, or frees it.
    ///
    /// # Safety
    ///
    /// The memory came from [`take`](Self::take) with this class, and is not used any more.
    #[inline]
    pub(super) unsafe fn give_back(&self, memory: NonNull<u8>, class: Class) {
        match self.free.get(class.index) {
            Some(free) if self.kept.get() + class.layout.size() <= MAX_KEPT => {
                let link = memory.cast::<Link>();
                // SAFETY: the memory is the caller's to give, and large and aligned enough.
                unsafe { link.write(Link { next: free.get() }) };
                free.set(Some(link));
                self.kept.set(self.kept.get() + class.layout.size());
            }
            // SAFETY: by this function's contract.
            _ => unsafe { class.free(memory) },
        }
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: a task's layout is not empty: it has a header.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (index, free) in self.free.iter().enumerate() {
            while let Some(memory) = free.get() {
                // SAFETY: `give_back` wrote a link at the beginning of each piece in a list, and
                // chose the list by its class.
                unsafe {
                    free.set(memory.as_ref().next);
                    Class::numbered(index).free(memory.cast());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_returned_last_is_taken_next() {
        let pool = Pool::default();
        let class = Class::of(Layout::new::<[u64; 20]>());
        let (first, second) = (pool.take(class), pool.take(class));
        // SAFETY: all are from this pool, and given back once.
        unsafe {
            pool.give_back(first, class);
            pool.give_back(second, class);
        }
        let (other, third) = (pool.take(Class::of(Layout::new::<[u64; 40]>())), pool.take(class));
        // Without the pool the allocator decides, and may return the same memory.
        assert!(third == second || !ENABLED);
        // SAFETY: as above.
        unsafe {
            pool.give_back(other, Class::of(Layout::new::<[u64; 40]>()));
            pool.give_back(third, class);
        }
    }

    #[test]
    fn a_pool_keeps_a_bounded_amount_of_memory() {
        let pool = Pool::default();
        let class = Class::of(Layout::new::<[u8; LARGEST]>());
        let pieces: Vec<_> = (0..1000).map(|_| pool.take(class)).collect();
        for piece in pieces {
            // SAFETY: each is from this pool, and given back once.
            unsafe { pool.give_back(piece, class) };
        }
        assert!(pool.kept.get() <= MAX_KEPT);
    }

    #[test]
    fn a_pool_does_not_keep_large_or_oddly_aligned_memory() {
        #[repr(align(128))]
        struct Aligned(#[expect(dead_code)] [u8; 128]);
        let pool = Pool::default();
        for layout in [Layout::new::<[u8; LARGEST + 1]>(), Layout::new::<Aligned>()] {
            let class = Class::of(layout);
            assert_eq!(class.layout, layout);
            let memory = pool.take(class);
            // SAFETY: it is from this pool, and given back once.
            unsafe { pool.give_back(memory, class) };
            assert_eq!(pool.kept.get(), 0);
        }
    }
}
