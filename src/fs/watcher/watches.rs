//! The watches of a watcher, by the kernel's names and by ours. A thread that makes one shares
//! them.
//!
//! The kernel reports events of a watch, even its end, as soon as it is made: perhaps before the
//! thread has said so. Then the watch gets its id from the first event, and the thread finds it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::event::WatchId;

/// The kernel's names of the watches, and ours.
#[derive(Default)]
pub(super) struct Watches {
    known: HashMap<i32, Watch>,
    made: u64,
}

struct Watch {
    id: WatchId,
    /// Whether the thread that has made it knows its id.
    is_claimed: bool,
    has_ended: bool,
}

impl Watches {
    fn get(&mut self, number: i32) -> &mut Watch {
        self.known.entry(number).or_insert_with(|| {
            self.made += 1;
            let id = WatchId { serial: self.made, number };
            Watch { id, is_claimed: false, has_ended: false }
        })
    }

    /// The id of a watch that has reported an event.
    pub(super) fn id(&mut self, number: i32) -> WatchId {
        self.get(number).id
    }

    /// The id of a watch that the calling thread has made. It may have ended already.
    pub(super) fn claim(&mut self, number: i32) -> WatchId {
        let watch = self.get(number);
        watch.is_claimed = true;
        let id = watch.id;
        self.forget_if_over(number);
        id
    }

    /// Whether a watch has not ended, as far as has been read.
    pub(super) fn has(&self, id: WatchId) -> bool {
        self.known.get(&id.number).is_some_and(|watch| watch.id == id && !watch.has_ended)
    }

    /// The kernel has ended a watch, and may use its name again: after all others, so later than a
    /// thread needs to claim it.
    pub(super) fn end(&mut self, number: i32) {
        self.get(number).has_ended = true;
        self.forget_if_over(number);
    }

    fn forget_if_over(&mut self, number: i32) {
        if self.known.get(&number).is_some_and(|watch| watch.is_claimed && watch.has_ended) {
            self.known.remove(&number);
        }
    }
}

/// No foreign code runs under the lock, so it is never poisoned by more than a lack of memory.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is deleted at once: its watch ends before the thread has named it.
    #[test]
    fn a_watch_whose_end_is_read_before_its_maker_returns_has_one_id() {
        let mut watches = Watches::default();
        let reported = watches.id(7);
        watches.end(7);
        assert!(!watches.has(reported));
        assert_eq!(watches.claim(7), reported);
        assert!(watches.known.is_empty(), "an ended watch is kept");
        // The kernel uses the name again.
        let later = watches.claim(7);
        assert_ne!(later, reported);
        assert!(watches.has(later) && !watches.has(reported));
        watches.end(7);
        assert!(watches.known.is_empty());
    }
}
