//! Gives back memory that was needed at a peak: when, and how lists do it.
//!
//! A busy loop trims about once a second: memory that would be needed again at once is not given
//! back. An idle loop is not woken for it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use slab::Slab;

/// The least time between two trims.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many turns pass between two readings of the clock.
const TURNS: u32 = 256;

/// The number of elements for which a list always keeps its memory.
const KEPT: usize = 1024;

pub(super) struct Trimming {
    turns: Cell<u32>,
    last: Cell<Instant>,
}

impl Trimming {
    pub(super) fn new() -> Self {
        Self { turns: Cell::new(0), last: Cell::new(Instant::now()) }
    }

    /// Counts a turn. Returns whether a trim is due.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.turns.set(self.turns.get() + 1);
        self.turns.get() >= TURNS && self.is_interval_over()
    }

    #[cold]
    fn is_interval_over(&self) -> bool {
        self.turns.set(0);
        let now = Instant::now();
        let is_over = now.saturating_duration_since(self.last.get()) >= INTERVAL;
        if is_over {
            self.last.set(now);
        }
        is_over
    }
}

/// Halves the memory of a list that is emptied again and again.
pub(super) fn trim<T>(list: &mut Vec<T>) {
    if list.capacity() > KEPT {
        list.shrink_to(KEPT.max(list.capacity() / 2));
    }
}

/// Gives back the memory behind the last element, if there are few.
pub(super) fn trim_slab<T>(slab: &mut Slab<T>) {
    if slab.capacity() > KEPT && slab.len() < slab.capacity() / 4 {
        slab.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many there are at the peak.
    const MANY: usize = if cfg!(miri) { 2 * KEPT } else { 100_000 };

    #[test]
    fn a_list_comes_down_after_a_peak_and_keeps_what_it_holds() {
        let mut list: Vec<_> = (0..MANY).collect();
        list.truncate(2000);
        (0..20).for_each(|_| trim(&mut list));
        assert!((2000..4000).contains(&list.capacity()), "{}", list.capacity());
        list.clear();
        (0..20).for_each(|_| trim(&mut list));
        assert!(list.capacity() <= KEPT);
    }

    #[test]
    fn a_slab_comes_down_to_its_last_entry_and_no_entry_moves() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..MANY).map(|n| slab.insert(n)).collect();
        for &key in keys.iter().filter(|&&key| key != 1500) {
            slab.remove(key);
        }
        trim_slab(&mut slab);
        assert_eq!((slab.get(1500), slab.len()), (Some(&1500), 1));
        assert!(slab.capacity() <= 1501, "{}", slab.capacity());
    }
}
