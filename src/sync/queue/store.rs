//! The orders in which queues keep their items.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::task::Shrink;

/// A collection that returns its items in some order.
pub(super) trait Store: Default {
    type Item;

    fn push(&mut self, item: Self::Item);
    fn pop(&mut self) -> Option<Self::Item>;
    fn len(&self) -> usize;
}

/// First in, first out.
impl<T> Store for VecDeque<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        let item = self.pop_front();
        self.shrink();
        item
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// Last in, first out.
impl<T> Store for Vec<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.push(item);
    }

    fn pop(&mut self) -> Option<T> {
        let item = self.pop();
        self.shrink();
        item
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// The smallest first; of equal items, first in, first out.
pub(super) struct Smallest<T> {
    heap: BinaryHeap<Reverse<(T, u64)>>,
    pushed: u64,
}

impl<T: Ord> Default for Smallest<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0 }
    }
}

impl<T: Ord> Store for Smallest<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.pushed += 1;
        self.heap.push(Reverse((item, self.pushed)));
    }

    fn pop(&mut self) -> Option<T> {
        let first = self.heap.pop();
        self.heap.shrink();
        first.map(|Reverse((item, _))| item)
    }

    fn len(&self) -> usize {
        self.heap.len()
    }
}
