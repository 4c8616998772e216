//! The ring's table of registered memory: which slots are free.
//!
//! The table is made, with all slots empty, when the first memory is registered. Slots are filled
//! and emptied one at a time, which waits for nothing. (The calls that register and unregister a
//! whole table wait for what is in flight.)

use std::io;

use crate::sys::Ring;

/// How many slots the table has. An empty one costs the kernel 16 bytes at most.
const SLOTS: u16 = 1024;

#[derive(Default)]
pub(super) struct BufferTable {
    /// `None` until the table is made.
    free: Option<Vec<u16>>,
}

impl BufferTable {
    /// Allocates an empty slot.
    ///
    /// # Errors
    ///
    /// If the table is full or cannot be made.
    pub(super) fn alloc(&mut self, ring: &mut Ring) -> io::Result<u16> {
        let free = match &mut self.free {
            Some(free) => free,
            None => {
                ring.make_buffer_table(SLOTS)?;
                self.free.insert((0..SLOTS).rev().collect())
            }
        };
        let full = || io::Error::other(format!("a runtime registers at most {SLOTS} sets or GiB"));
        free.pop().ok_or_else(full)
    }

    /// Empties a slot that was allocated. Where the ring is another process's, the slot stays.
    pub(super) fn empty(&mut self, slot: u16, ring: &mut Ring) {
        if ring.unregister_memory(slot).is_ok() {
            self.free.as_mut().expect("its slots are allocated by the table").push(slot);
        }
    }
}
