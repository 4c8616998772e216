//! Memory of ended tasks, kept for new ones.
//!
//! A server starts a task for each connection; with its memory at hand that costs a few
//! instructions, where the allocator takes a good part of what starting and joining a task costs
//! altogether. What is kept is bounded, in sizes and in all.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

/// Sizes are rounded up to multiples of this.
const STEP: usize = 64;

/// Larger tasks are not kept: filling them takes longer than getting memory for them.
const LARGEST: usize = 1024;

/// How many bytes are kept at most.
const MOST_KEPT: usize = 256 * 1024;

/// Without it each task has memory of its own, and a sanitizer sees a use after the end.
const ENABLED: bool = !cfg!(annulus_unpooled);

/// Belongs to one thread.
#[derive(Default)]
pub(super) struct Pool {
    /// For each size, the memory that was given back last; each piece begins with a link.
    free: [Cell<Option<NonNull<Link>>>; CLASSES],
    kept: Cell<usize>,
}

struct Link {
    next: Option<NonNull<Link>>,
}

/// The layout of a task's memory, and where it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    layout: Layout,
    /// Which list keeps it; [`CLASSES`] if none does.
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
    /// The memory came from [`Pool::take`] with this class, and nobody uses it any more.
    pub(super) unsafe fn free(self, memory: NonNull<u8>) {
        // SAFETY: the memory came from the allocator, with this layout.
        unsafe { dealloc(memory.as_ptr(), self.layout) };
    }
}

impl Pool {
    /// Memory, not initialised.
    #[inline]
    pub(super) fn take(&self, class: Class) -> NonNull<u8> {
        if let Some(free) = self.free.get(class.index) {
            if let Some(memory) = free.get() {
                // SAFETY: what stands here begins with a link.
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
    /// The memory came from [`take`](Self::take) with this class, and nobody uses it any more.
    #[inline]
    pub(super) unsafe fn give_back(&self, memory: NonNull<u8>, class: Class) {
        match self.free.get(class.index) {
            Some(free) if self.kept.get() + class.layout.size() <= MOST_KEPT => {
                let link = memory.cast::<Link>();
                // SAFETY: the memory is the caller's to give, and large and aligned enough.
                unsafe { link.write(Link { next: free.get() }) };
                free.set(Some(link));
                self.kept.set(self.kept.get() + class.layout.size());
            }
            // SAFETY: passed on by the caller.
            _ => unsafe { class.free(memory) },
        }
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: a task's cell has a size.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (index, free) in self.free.iter().enumerate() {
            while let Some(memory) = free.get() {
                // SAFETY: what stands here begins with a link, and is of the list's class.
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
    fn memory_that_is_given_back_is_what_is_taken_next() {
        let pool = Pool::default();
        let class = Class::of(Layout::new::<[u64; 20]>());
        let (first, second) = (pool.take(class), pool.take(class));
        // SAFETY: all are from this pool, and given back once.
        unsafe {
            pool.give_back(first, class);
            pool.give_back(second, class);
        }
        let (other, third) = (pool.take(Class::of(Layout::new::<[u64; 40]>())), pool.take(class));
        assert_eq!(third == second, ENABLED);
        // SAFETY: as above.
        unsafe {
            pool.give_back(other, Class::of(Layout::new::<[u64; 40]>()));
            pool.give_back(third, class);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let pool = Pool::default();
        let class = Class::of(Layout::new::<[u8; LARGEST]>());
        let pieces: Vec<_> = (0..1000).map(|_| pool.take(class)).collect();
        for piece in pieces {
            // SAFETY: each is from this pool, and given back once.
            unsafe { pool.give_back(piece, class) };
        }
        assert!(pool.kept.get() <= MOST_KEPT);
    }

    #[test]
    fn large_and_oddly_aligned_memory_is_not_kept() {
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
