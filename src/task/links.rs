//! The links of a task, by which its scheduler's queue, list and inbox contain it.
//!
//! All three are intrusive: they need no memory of their own, so waking a task allocates nothing.
//! They know a task only as its [`Links`], the first field of its header; `header` converts between
//! the two.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use super::loom::AtomicPtr;

/// A task, as the scheduler's containers see it.
///
/// A pointer to the links is made from the pointer to the whole task, never from a reference to the
/// links, so that it can be cast back.
#[repr(C)]
pub(super) struct Links {
    // The owner's thread only:
    pub(super) ready_next: Cell<Option<NonNull<Links>>>,
    pub(super) list_before: Cell<Option<NonNull<Links>>>,
    pub(super) list_after: Cell<Option<NonNull<Links>>>,
    // Any thread:
    pub(super) inbox_next: AtomicPtr<Links>,
}

impl Links {
    /// Those of a task that is in no container.
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            ready_next: Cell::new(None),
            list_before: Cell::new(None),
            list_after: Cell::new(None),
            inbox_next: AtomicPtr::new(ptr::null_mut()),
        }
    }
}
