//! Where other threads put the tasks they wake, and the hand-shake with a sleeping owner.
//!
//! One word says everything. It is one of
//!
//! - `AWAKE`: the owner runs, and nothing is in the inbox;
//! - `PARKED`: the owner sleeps or is about to, and nothing is in the inbox;
//! - `CLOSED`: the owner is gone;
//! - the newest node of a list: nodes are in the inbox, and the owner runs or has been rung for.
//!
//! The owner may sleep only if it changes `AWAKE` to `PARKED`; a thread that changes `PARKED` to a
//! node must ring. Both are one compare-and-swap of the same word, so one of them sees the other:
//! no wake-up is lost and nobody rings for an owner that is awake.
//!
//! The owner takes the whole list at once, so that a node's address cannot be mistaken for an older
//! use of it.

use std::ptr::NonNull;

use super::header::Header;
use super::loom::{AtomicPtr, Ordering};

const AWAKE: *mut Header = std::ptr::null_mut();
const PARKED: *mut Header = std::ptr::without_provenance_mut(1);
const CLOSED: *mut Header = std::ptr::without_provenance_mut(2);

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The owner is awake and will find it.
    Quietly,
    /// The owner sleeps: it must be rung.
    OwnerSleeps,
    /// The owner is gone and the node was not taken.
    Refused,
}

pub(super) struct Inbox {
    word: AtomicPtr<Header>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { word: AtomicPtr::new(AWAKE) }
    }

    /// Adds a node, from any thread.
    ///
    /// # Safety
    ///
    /// The node is valid until the owner has taken it (the caller gives away a reference to it),
    /// and the caller alone may write its `inbox_next` (it has set the node's `in_inbox`).
    pub(super) unsafe fn push(&self, node: NonNull<Header>) -> Pushed {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if seen == CLOSED {
                return Pushed::Refused;
            }
            let next = if seen == PARKED { AWAKE } else { seen };
            // SAFETY: the node is valid, and nobody else writes its link.
            unsafe { node.as_ref() }.inbox_next.store(next, Ordering::Relaxed);
            // Release: the owner sees the link, and all that happened before the wake.
            match self.word.compare_exchange_weak(
                seen,
                node.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(PARKED) => return Pushed::OwnerSleeps,
                Ok(_) => return Pushed::Quietly,
                Err(now) => seen = now,
            }
        }
    }

    /// Says that the owner is going to sleep. If not, something has come.
    pub(super) fn park(&self) -> bool {
        let parked =
            self.word.compare_exchange(AWAKE, PARKED, Ordering::Acquire, Ordering::Relaxed);
        parked.is_ok()
    }

    /// Takes every node, the oldest first, and says that the owner is awake.
    pub(super) fn take(&self) -> Taken {
        // The common case writes nothing, so that the word's cache line stays shared.
        if self.word.load(Ordering::Relaxed) == AWAKE {
            return Taken { next: AWAKE };
        }
        Taken::in_order(self.word.swap(AWAKE, Ordering::Acquire))
    }

    /// Refuses nodes from here on, and takes the ones that are there.
    pub(super) fn close(&self) -> Taken {
        Taken::in_order(self.word.swap(CLOSED, Ordering::Acquire))
    }
}

/// Nodes that the owner has taken.
pub(super) struct Taken {
    next: *mut Header,
}

impl Taken {
    /// Turns a list around: the newest node comes first in the inbox.
    fn in_order(newest: *mut Header) -> Self {
        let (mut rest, mut turned) = (newest, AWAKE);
        while !is_end(rest) {
            // SAFETY: the word and the links hold nodes that pushers gave away valid, and a taken
            // node is the owner's; the swap's Acquire makes their links visible.
            let link = unsafe { &(*rest).inbox_next };
            let next = link.load(Ordering::Relaxed);
            link.store(turned, Ordering::Relaxed);
            turned = rest;
            rest = next;
        }
        Self { next: turned }
    }
}

impl Iterator for Taken {
    type Item = NonNull<Header>;

    fn next(&mut self) -> Option<NonNull<Header>> {
        let node = NonNull::new(self.next)?;
        // SAFETY: the node is the owner's until it is given out here; its link is read before, as
        // afterwards the node may be pushed again.
        self.next = unsafe { node.as_ref() }.inbox_next.load(Ordering::Relaxed);
        Some(node)
    }
}

fn is_end(word: *mut Header) -> bool {
    word == AWAKE || word == PARKED || word == CLOSED
}
