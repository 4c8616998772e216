//! The values that were dropped on other threads, on their way home.
//!
//! A list with many producers, each of which pushes one node by a compare-and-swap, and one
//! consumer, the owner, which takes the whole list at once (so the ABA problem cannot arise) and
//! then works it off within its own bounds. A push notifies the owner afterwards, as for every
//! queue beside the inbox.
//!
//! At the end the owner closes the list by a swap of the same word. So a node is either in what
//! that swap returns, or its push is refused.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::task::loom::{AtomicPtr, Ordering};

/// A node, as the list knows it: the first field of its header.
///
/// A pointer to it is made from the pointer to the whole node, so that it can be cast back.
#[repr(C)]
pub(super) struct Link {
    /// Touched by the one that has the node.
    next: AtomicPtr<Link>,
}

impl Link {
    /// That of a node in no list.
    pub(super) fn new() -> Self {
        Self { next: AtomicPtr::new(EMPTY) }
    }
}

const EMPTY: *mut Link = ptr::null_mut();
/// No node has this address.
const CLOSED: *mut Link = ptr::without_provenance_mut(1);

const _: () = assert!(align_of::<Link>() > 1);

pub(in crate::task) struct Returns {
    /// The newest node of those that the owner has not taken; [`EMPTY`] or [`CLOSED`].
    newest: AtomicPtr<Link>,
    // The owner's thread only. What it has taken, the oldest first:
    next: Cell<*mut Link>,
    last: Cell<*mut Link>,
}

impl Returns {
    pub(in crate::task) fn new() -> Self {
        Self { newest: AtomicPtr::new(EMPTY), next: Cell::new(EMPTY), last: Cell::new(EMPTY) }
    }

    /// Adds a node, from any thread. Returns `false` if the list is closed; the node is then still
    /// the caller's.
    ///
    /// # Safety
    ///
    /// The caller has the node, and passes it on. The node is of the thread that receives here.
    pub(super) unsafe fn push(&self, node: NonNull<Link>) -> bool {
        let mut seen = self.newest.load(Ordering::Relaxed);
        loop {
            if seen == CLOSED {
                return false;
            }
            // SAFETY: the caller has the node.
            unsafe { node.as_ref() }.next.store(seen, Ordering::Relaxed);
            // Release: the owner sees the link, and all that was done to the node before.
            match self.newest.compare_exchange_weak(
                seen,
                node.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes all nodes that have arrived, to be popped.
    ///
    /// # Safety
    ///
    /// This is the owner's thread.
    pub(super) unsafe fn receive(&self) {
        // What was pushed before a notification that the owner has received is seen here.
        let seen = self.newest.load(Ordering::Relaxed);
        if seen != EMPTY && seen != CLOSED {
            self.append(self.newest.swap(EMPTY, Ordering::Acquire));
        }
    }

    /// Takes all nodes that have arrived, to be popped, and refuses further ones.
    ///
    /// # Safety
    ///
    /// This is the owner's thread.
    pub(super) unsafe fn close(&self) {
        let newest = self.newest.swap(CLOSED, Ordering::Acquire);
        if newest != CLOSED {
            self.append(newest);
        }
    }

    /// Puts a list, which has its newest node first, behind what was taken before.
    fn append(&self, newest: *mut Link) {
        if newest.is_null() {
            return;
        }
        let (mut rest, mut oldest) = (newest, EMPTY);
        while !rest.is_null() {
            // SAFETY: the word and the links lead to nodes that were passed on to the owner, which
            // this is; the swap's Acquire makes the links visible.
            let link = unsafe { &(*rest).next };
            let older = link.load(Ordering::Relaxed);
            link.store(oldest, Ordering::Relaxed);
            oldest = rest;
            rest = older;
        }
        let last = self.last.replace(newest);
        if self.next.get().is_null() {
            self.next.set(oldest);
        } else {
            // SAFETY: while there is a next node, the last one is still here.
            unsafe { &(*last).next }.store(oldest, Ordering::Relaxed);
        }
    }

    /// The oldest node of those taken. It is the caller's then.
    ///
    /// # Safety
    ///
    /// This is the owner's thread.
    pub(super) unsafe fn pop(&self) -> Option<NonNull<Link>> {
        let node = NonNull::new(self.next.get())?;
        // SAFETY: a node that was taken is here until it is popped.
        self.next.set(unsafe { node.as_ref() }.next.load(Ordering::Relaxed));
        Some(node)
    }

    /// Whether a node of those taken is left.
    ///
    /// # Safety
    ///
    /// This is the owner's thread.
    pub(super) unsafe fn has_more(&self) -> bool {
        !self.next.get().is_null()
    }
}
