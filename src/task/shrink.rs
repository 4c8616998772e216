//! When collections free the memory that a peak has left behind.
//!
//! A collection that has grown keeps its memory for later items, up to a bound. Beyond it, once
//! three quarters are free, it shrinks to twice its length. That moves the items that are left,
//! after at least as many have been removed since the last time, so each removal pays for one move.

use std::collections::{BinaryHeap, VecDeque};

use slab::Slab;

/// How many bytes a collection always keeps.
const KEPT: usize = 16 << 10;

/// The capacity that a collection always keeps.
const fn kept<T>() -> usize {
    match size_of::<T>() {
        0 => KEPT,
        size => KEPT / size,
    }
}

/// A collection that can free memory it does not need.
pub(crate) trait Shrink {
    /// Call this after an item was removed.
    fn shrink(&mut self);

    /// The rest of [`shrink`](Self::shrink), for a collection above the capacity that it always
    /// keeps.
    fn shrink_large(&mut self);
}

macro_rules! shrinks {
    ($($collection:ident<T $(: $bound:ident)?>)+) => {$(
        impl<T $(: $bound)?> Shrink for $collection<T> {
            #[inline]
            fn shrink(&mut self) {
                // One comparison for a collection of usual size. Zero-sized items take no memory.
                if size_of::<T>() > 0 && self.capacity() > kept::<T>() {
                    self.shrink_large();
                }
            }

            #[cold]
            #[inline(never)]
            fn shrink_large(&mut self) {
                if self.len() <= self.capacity() / 4 {
                    self.shrink_to(kept::<T>().max(2 * self.len()));
                }
            }
        }
    )+};
}

shrinks! { Vec<T> VecDeque<T> BinaryHeap<T: Ord> }

/// The items of a slab cannot be moved: it frees its memory when it is empty.
impl<T> Shrink for Slab<T> {
    #[inline]
    fn shrink(&mut self) {
        if self.capacity() > kept::<T>() && self.is_empty() {
            self.shrink_large();
        }
    }

    #[cold]
    #[inline(never)]
    fn shrink_large(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than a collection always keeps.
    const MANY: u64 = if cfg!(miri) { 3 * KEPT as u64 / 8 } else { 20_000 };

    #[test]
    fn a_collection_keeps_a_few_times_its_length_and_an_empty_one_little() {
        let mut items: VecDeque<u64> = (0..MANY).collect();
        while items.pop_front().is_some() {
            items.shrink();
            assert!(items.capacity() <= (5 * items.len()).max(KEPT / 8));
        }
        let mut slab = Slab::new();
        let last = (0..MANY).map(|item| slab.insert(item)).last().unwrap();
        for key in 0..last {
            slab.remove(key);
            slab.shrink();
        }
        assert_eq!((slab.len(), slab.get(last)), (1, Some(&(MANY - 1))));
        slab.remove(last);
        slab.shrink();
        assert_eq!(slab.capacity(), 0);
    }

    #[test]
    fn shrinking_moves_at_most_two_items_for_each_that_was_removed() {
        let (mut items, mut moved, mut taken) = ((0..MANY).collect::<Vec<_>>(), 0, 0);
        for round in 0..3 {
            while items.pop().is_some() {
                taken += 1;
                let before = items.capacity();
                items.shrink();
                moved += if items.capacity() < before { items.len() } else { 0 };
            }
            items.extend(0..1000 * round);
        }
        assert!(moved <= 2 * taken, "{moved} moved for {taken} taken out");
    }
}
