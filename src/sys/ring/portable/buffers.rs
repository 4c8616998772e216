//! Provided buffers: which of them a receive is given.
//!
//! A buffer leaves its ring when the receive has succeeded. A receive that would have to wait, or
//! fails, leaves it where it is, as the kernel puts it back.

use crate::sys::Provided;

/// `IORING_CQE_F_BUFFER`.
const SELECTED: u32 = 1;

/// A buffer that may be selected.
#[derive(Clone, Copy)]
pub(super) struct Selected {
    number: u16,
    pub(super) start: *mut u8,
    pub(super) size: usize,
}

impl Selected {
    /// What a completion says of it.
    pub(super) fn flags(self) -> u32 {
        u32::from(self.number) << 16 | SELECTED
    }
}

/// The buffer rings, by group. There are two.
#[derive(Default)]
pub(super) struct ProvidedBuffers(Vec<(u16, Provided)>);

impl ProvidedBuffers {
    /// Registers a ring. Returns whether the group had none.
    pub(super) fn insert(&mut self, group: u16, buffers: Provided) -> bool {
        let is_new = self.find(group).is_none();
        if is_new {
            self.0.push((group, buffers));
        }
        is_new
    }

    pub(super) fn remove(&mut self, group: u16) {
        self.0.retain(|&(other, _)| other != group);
    }

    /// The next buffer of a group, which stays in its ring.
    pub(super) fn peek(&mut self, group: u16) -> Option<Selected> {
        let (number, start, size) = self.find(group)?.peek()?;
        Some(Selected { number, start, size })
    }

    /// Takes the buffer that was peeked at last.
    pub(super) fn take(&mut self, group: u16) {
        if let Some(buffers) = self.find(group) {
            let _ = buffers.next();
        }
    }

    fn find(&mut self, group: u16) -> Option<&mut Provided> {
        self.0.iter_mut().find(|(other, _)| *other == group).map(|(_, buffers)| buffers)
    }
}
