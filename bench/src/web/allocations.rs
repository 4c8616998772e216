//! Counts the allocations of a server, where that is asked for.
//!
//! The program's allocator is the system's. One flag is looked at for each allocation, so that
//! servers whose time is measured pay for no more than that, and all alike.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::server::Calls;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Where allocations are counted; null if nowhere.
static COUNT: AtomicPtr<Calls> = AtomicPtr::new(ptr::null_mut());

/// Counts the allocations of this process from here on, of which only one thread may make any.
pub(crate) fn count_in(count: &'static Calls) {
    COUNT.store(ptr::from_ref(count).cast_mut(), Ordering::Relaxed);
}

struct Counting;

#[inline]
fn count() {
    let count = COUNT.load(Ordering::Relaxed);
    if !count.is_null() {
        // SAFETY: `count_in`, which alone sets it, was given a reference that lives for ever.
        unsafe { &*count }.add(1);
    }
}

// SAFETY: all calls are passed on as they are to an allocator that keeps the contract. Counting
// allocates nothing and does not panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: by contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: by contract.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by contract.
        unsafe { System.dealloc(block, layout) }
    }
}
