//! Registered memory: what fixed reads and writes may use.

/// Where the memory of each slot begins, and how long it is.
#[derive(Default)]
pub(super) struct RegisteredMemory(Vec<Option<(usize, usize)>>);

impl RegisteredMemory {
    pub(super) fn resize(&mut self, slots: u16) {
        self.0.resize(slots.into(), None);
    }

    pub(super) fn set(&mut self, slot: u16, memory: Option<(usize, usize)>) {
        self.0[usize::from(slot)] = memory;
    }

    /// Whether a slot holds all of this memory.
    pub(super) fn holds(&self, slot: u16, address: u64, length: u32) -> bool {
        let Some(&Some((start, size))) = self.0.get(usize::from(slot)) else { return false };
        let offset = (address as usize).wrapping_sub(start);
        offset <= size && length as usize <= size - offset
    }
}
