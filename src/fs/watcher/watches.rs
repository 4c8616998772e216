//! The watches of a watcher, by the kernel's names and by ours. A thread that makes one shares
//! them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::WatchId;

/// The kernel's names of the watches, and ours.
#[derive(Default)]
pub(super) struct Watches {
    ids: HashMap<i32, WatchId>,
    made: u64,
}

impl Watches {
    /// The id of a watch. One that is not known is being made by a thread, and gets its id now.
    pub(super) fn id(&mut self, number: i32) -> WatchId {
        *self.ids.entry(number).or_insert_with(|| {
            self.made += 1;
            WatchId { serial: self.made, number }
        })
    }

    /// Whether a watch has not ended, as far as has been read.
    pub(super) fn has(&self, id: WatchId) -> bool {
        self.ids.get(&id.number) == Some(&id)
    }

    /// The kernel has ended a watch, and may use its name again.
    pub(super) fn end(&mut self, number: i32) {
        self.ids.remove(&number);
    }
}

/// No foreign code runs under the lock, so it is never poisoned by more than a lack of memory.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
