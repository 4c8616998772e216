//! The system's allocator, which counts what it is asked for, for each thread and for all.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

static HELD_BY_ALL: AtomicIsize = AtomicIsize::new(0);

/// How often this thread has allocated memory, or had it grow or shrink.
pub(crate) fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// How many bytes this thread has allocated more than it has freed.
pub(crate) fn held() -> isize {
    HELD.get()
}

/// How many bytes all threads have allocated more than they have freed.
pub(crate) fn held_by_all() -> isize {
    HELD_BY_ALL.load(Ordering::Relaxed)
}

struct Counting;

fn count(size: usize, freed: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + u64::from(size > 0));
    let held = size as isize - freed as isize;
    HELD.set(HELD.get() + held);
    HELD_BY_ALL.fetch_add(held, Ordering::Relaxed);
}

// SAFETY: everything is passed on to the system's allocator. Counting allocates nothing: the
// counters are initialised by constants and have no destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: passed on by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: passed on by the caller.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: passed on by the caller.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
