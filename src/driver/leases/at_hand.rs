//! Large buffers, which no ring knows.

use std::sync::Arc;

use super::{LeaseSize, Taken};
use crate::buf::LeaseMemory;

pub(super) struct AtHand {
    memory: Arc<LeaseMemory>,
    /// Those that nobody has; the last is the next to be taken.
    idle: Vec<u16>,
}

impl AtHand {
    pub(super) fn new(size: LeaseSize) -> Self {
        let memory = Arc::new(LeaseMemory::new(size.count, size.bytes));
        Self { memory, idle: (0..size.count).rev().collect() }
    }

    pub(super) fn take(&mut self) -> Option<Taken> {
        self.collect();
        let buffer = self.idle.pop()?;
        Some(Taken { memory: Arc::clone(&self.memory), buffer })
    }

    fn collect(&mut self) {
        if self.memory.has_returned() {
            let before = self.idle.len();
            self.memory.take_returned(|buffer| self.idle.push(buffer));
            // They come with the latest first.
            self.idle[before..].reverse();
        }
    }
}
