//! Where other threads put the tasks they wake, and the handshake with a sleeping owner.
//!
//! One word is the whole state. It is one of
//!
//! - `AWAKE`: the owner runs, and the inbox is empty;
//! - `PARKED`: the owner sleeps or is about to, and the inbox is empty;
//! - `CLOSED`: the owner is gone;
//! - the newest task of a linked list: the inbox has tasks, and the owner runs or its bell was
//!   rung.
//!
//! The owner may sleep only if it changes `AWAKE` to `PARKED`; a thread that changes `PARKED` to a
//! task must ring. Both are one compare-and-swap of the same word, so one of them sees the other:
//! no wake-up is lost, and no thread rings for an owner that is awake.
//!
//! The owner takes the whole list at once, so the ABA problem cannot arise: no thread compares the
//! address of a task that may have been taken out and put in again.

use std::ptr::NonNull;

use super::links::Links;
use super::loom::{AtomicPtr, Ordering};

const AWAKE: *mut Links = std::ptr::null_mut();
const PARKED: *mut Links = std::ptr::without_provenance_mut(1);
const CLOSED: *mut Links = std::ptr::without_provenance_mut(2);

/// The outcome of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The owner is awake and will find the task.
    OwnerAwake,
    /// The owner sleeps: the caller must ring.
    OwnerSleeps,
    /// The owner is gone; the task was not taken.
    Refused,
}

pub(super) struct Inbox {
    word: AtomicPtr<Links>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { word: AtomicPtr::new(AWAKE) }
    }

    /// Adds a task, from any thread.
    ///
    /// # Safety
    ///
    /// The caller passes on a reference to the task, unless the push is refused. No other thread
    /// writes the task's `inbox_next`: the caller has set its `in_inbox`, and the owner has not
    /// cleared it.
    pub(super) unsafe fn push(&self, task: NonNull<Links>) -> Pushed {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if seen == CLOSED {
                return Pushed::Refused;
            }
            let next = if seen == PARKED { AWAKE } else { seen };
            // SAFETY: the caller's reference keeps the task valid, and no other thread writes the
            // link.
            unsafe { task.as_ref() }.inbox_next.store(next, Ordering::Relaxed);
            // Release: the owner sees the link, and all that happened before the wake.
            match self.word.compare_exchange_weak(
                seen,
                task.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(PARKED) => return Pushed::OwnerSleeps,
                Ok(_) => return Pushed::OwnerAwake,
                Err(now) => seen = now,
            }
        }
    }

    /// Announces that the owner is going to sleep. Returns `false` if tasks have arrived: then it
    /// must not.
    pub(super) fn park(&self) -> bool {
        let parked =
            self.word.compare_exchange(AWAKE, PARKED, Ordering::Acquire, Ordering::Relaxed);
        parked.is_ok()
    }

    /// Takes every task, the oldest first, and announces that the owner is awake.
    pub(super) fn take(&self) -> Received {
        // The common case writes nothing, so that the word's cache line stays shared.
        if self.word.load(Ordering::Relaxed) == AWAKE {
            return Received { next: AWAKE };
        }
        Received::oldest_first(self.word.swap(AWAKE, Ordering::Acquire))
    }

    /// Takes every task, and refuses all later ones.
    pub(super) fn close(&self) -> Received {
        Received::oldest_first(self.word.swap(CLOSED, Ordering::Acquire))
    }
}

/// Tasks that the owner has taken out, each with the reference that its pusher passed on.
pub(super) struct Received {
    next: *mut Links,
}

impl Received {
    /// Reverses a list: the inbox has the newest task first.
    fn oldest_first(newest: *mut Links) -> Self {
        let (mut rest, mut reversed) = (newest, AWAKE);
        while !is_end(rest) {
            // SAFETY: the word and the links lead to tasks that pushers passed on with a reference,
            // and whose links are the owner's now; the swap's Acquire makes them visible.
            let link = unsafe { &(*rest).inbox_next };
            let next = link.load(Ordering::Relaxed);
            link.store(reversed, Ordering::Relaxed);
            reversed = rest;
            rest = next;
        }
        Self { next: reversed }
    }
}

impl Iterator for Received {
    type Item = NonNull<Links>;

    fn next(&mut self) -> Option<NonNull<Links>> {
        let task = NonNull::new(self.next)?;
        // SAFETY: the reference is still here. The link is read before the task is returned, as
        // another thread may push the task again afterwards.
        self.next = unsafe { task.as_ref() }.inbox_next.load(Ordering::Relaxed);
        Some(task)
    }
}

fn is_end(word: *mut Links) -> bool {
    word == AWAKE || word == PARKED || word == CLOSED
}
