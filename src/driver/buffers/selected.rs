//! How many provided buffers the kernel has selected, of either group.

use crate::sys::Completion;

/// The numbers of the buffers for datagrams begin here, so that a completion tells its group.
pub(super) const FIRST_DATAGRAM: u16 = 1 << 15;

/// Two counts in one integer, so that a completion is counted without a branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::driver) struct Selected(u32);

impl Selected {
    #[inline]
    pub(in crate::driver) fn note(&mut self, completion: Completion) {
        let buffer = completion.buffer();
        let is_datagram = u32::from(buffer.unwrap_or(0) / FIRST_DATAGRAM);
        self.0 += u32::from(buffer.is_some()) << (16 * is_datagram);
    }

    #[inline]
    pub(super) fn small(self) -> u16 {
        self.0 as u16
    }

    #[inline]
    pub(super) fn datagram(self) -> u16 {
        (self.0 >> 16) as u16
    }
}
