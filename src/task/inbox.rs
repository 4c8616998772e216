//! Where other threads put the tasks they wake, and the handshake with a sleeping owner.
//!
//! One word is the whole state. It is one of
//!
//! - `AWAKE`: the owner runs, and nothing has arrived;
//! - `PARKED`: the owner sleeps or is about to, and nothing has arrived;
//! - `CLOSED`: the owner is gone;
//! - the newest task of a linked list, or `AWAKE`, with the bit `NOTIFIED` if a queue beside the
//!   inbox was filled: something has arrived, and the owner runs or its bell was rung.
//!
//! The owner may sleep only if it changes `AWAKE` to `PARKED`; a thread that changes `PARKED` to
//! something else must ring. Both are one compare-and-swap of the same word, so one of them sees
//! the other: no wake-up is lost, and no thread rings for an owner that is awake.
//!
//! A thread that fills another queue (`runtime::remote`) then sets `NOTIFIED`. The owner clears it
//! when it takes what has arrived, and looks at the queues afterwards. So a busy owner reads this
//! one word instead of every queue. Setting the bit writes the word even if it is set already: a
//! thread that only read it might see the bit of an earlier notification, which the owner clears
//! before the queue is filled, in the owner's order of events.
//!
//! The owner takes the whole list at once, so the ABA problem cannot arise: no thread compares the
//! address of a task that may have been taken out and put in again.

use std::ptr::NonNull;

use super::links::Links;
use super::loom::{AtomicPtr, Ordering};

const AWAKE: *mut Links = std::ptr::null_mut();
/// A bit of the word. No task's address has it.
const NOTIFIED: usize = 1;
const PARKED: *mut Links = std::ptr::without_provenance_mut(2);
const CLOSED: *mut Links = std::ptr::without_provenance_mut(4);

const _: () = assert!(align_of::<Links>() > NOTIFIED);

/// The outcome of a push or a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The owner is awake and will find what has arrived.
    OwnerAwake,
    /// The owner sleeps: the caller must ring.
    OwnerSleeps,
    /// The owner is gone; a task was not taken.
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
        self.update(|seen| {
            // SAFETY: the caller's reference keeps the task valid, and no other thread writes the
            // link.
            unsafe { task.as_ref() }.inbox_next.store(newest_of(seen), Ordering::Relaxed);
            task.as_ptr().map_addr(|address| address | (seen.addr() & NOTIFIED))
        })
    }

    /// Has the owner look at its other queues before it sleeps, from any thread. It sees what the
    /// caller has put into one.
    pub(super) fn notify(&self) -> Pushed {
        self.update(|seen| seen.map_addr(|address| address | NOTIFIED))
    }

    /// Changes the word to something that ends the owner's sleep. `change` sees a word that is not
    /// parked.
    #[inline]
    fn update(&self, mut change: impl FnMut(*mut Links) -> *mut Links) -> Pushed {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if seen == CLOSED {
                return Pushed::Refused;
            }
            let changed = change(if seen == PARKED { AWAKE } else { seen });
            // Release: the owner sees the link, and all that happened before the wake.
            match self.word.compare_exchange_weak(
                seen,
                changed,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(PARKED) => return Pushed::OwnerSleeps,
                Ok(_) => return Pushed::OwnerAwake,
                Err(now) => seen = now,
            }
        }
    }

    /// Announces that the owner is going to sleep. Returns `false` if something has arrived: then
    /// it must not.
    pub(super) fn park(&self) -> bool {
        let parked =
            self.word.compare_exchange(AWAKE, PARKED, Ordering::Acquire, Ordering::Relaxed);
        parked.is_ok()
    }

    /// Takes what has arrived, and announces that the owner is awake.
    pub(super) fn take(&self) -> Received {
        // The common case writes nothing, so that the word's cache line stays shared.
        if self.word.load(Ordering::Relaxed) == AWAKE {
            return Received { next: AWAKE, is_notified: false };
        }
        Received::oldest_first(self.word.swap(AWAKE, Ordering::Acquire))
    }

    /// Takes what has arrived, and refuses all that comes later.
    pub(super) fn close(&self) -> Received {
        Received::oldest_first(self.word.swap(CLOSED, Ordering::Acquire))
    }
}

/// The newest task of a word; null if it has none.
fn newest_of(word: *mut Links) -> *mut Links {
    if word == PARKED || word == CLOSED { AWAKE } else { word.map_addr(|it| it & !NOTIFIED) }
}

/// Tasks that the owner has taken out, the oldest first, each with the reference that its pusher
/// passed on.
pub(super) struct Received {
    next: *mut Links,
    /// Whether the owner is to look at its other queues.
    pub(super) is_notified: bool,
}

impl Received {
    /// Reverses a list: the inbox has the newest task first.
    fn oldest_first(word: *mut Links) -> Self {
        let (mut rest, mut reversed) = (newest_of(word), AWAKE);
        while !rest.is_null() {
            // SAFETY: the word and the links lead to tasks that pushers passed on with a reference,
            // and whose links are the owner's now; the swap's Acquire makes them visible.
            let link = unsafe { &(*rest).inbox_next };
            let next = link.load(Ordering::Relaxed);
            link.store(reversed, Ordering::Relaxed);
            reversed = rest;
            rest = next;
        }
        Self { next: reversed, is_notified: word.addr() & NOTIFIED != 0 }
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
