//! Puts faults in front of a ring.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use super::Ring;
use super::faulty::{Behind, Faults, FaultyRing, InlineFaults};
use super::interface::{Drained, Entered, Full, Wait};
use crate::sys::bypass::Bypasses;
use crate::sys::{BufferRing, Completion, RingKind, Submission};

impl Ring {
    /// This ring with faults in front of it.
    pub(crate) fn with_faults(self, faults: &Faults) -> Self {
        Self::Faulty(Box::new(FaultyRing::new(Box::new(self), faults)))
    }

    /// Which inline calls are to be withheld, if the ring makes faults.
    pub(crate) fn inline_faults(&self) -> Option<InlineFaults> {
        if let Self::Faulty(ring) = self { Some(ring.inline_faults()) } else { None }
    }
}

impl Behind for Ring {
    unsafe fn push_all(&mut self, sqes: &[Submission]) -> Result<(), Full> {
        // SAFETY: passed on by the caller.
        unsafe { Ring::push_all(self, sqes) }
    }

    fn kind(&self) -> RingKind {
        Ring::kind(self)
    }

    fn capacity(&self) -> usize {
        Ring::capacity(self)
    }

    fn queued(&mut self) -> usize {
        Ring::queued(self)
    }

    fn has_deferred(&mut self) -> bool {
        Ring::has_deferred(self)
    }

    fn is_overflown(&mut self) -> bool {
        Ring::is_overflown(self)
    }

    fn has_completions(&mut self) -> bool {
        Ring::has_completions(self)
    }

    fn signal_by(&mut self, counter: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        Ring::signal_by(self, counter)
    }

    fn enter(&mut self, wait: Wait) -> Entered {
        Ring::enter(self, wait)
    }

    fn adopt(&mut self, fd: RawFd) {
        Ring::adopt(self, fd);
    }

    fn note_drained(&mut self, fd: RawFd, how: Drained) {
        Ring::note_drained(self, fd, how);
    }

    fn forget(&mut self, fd: RawFd) {
        Ring::forget(self, fd);
    }

    fn reap_into(&mut self, completions: &mut Vec<Completion>) {
        self.reap(|completion| completions.push(completion));
    }

    unsafe fn register_buffers(&mut self, buffers: &BufferRing, group: u16) -> io::Result<()> {
        // SAFETY: passed on by the caller.
        unsafe { Ring::register_buffers(self, buffers, group) }
    }

    fn release_buffers(&mut self, group: u16) {
        Ring::release_buffers(self, group);
    }

    fn make_buffer_table(&mut self, slots: u16) -> io::Result<()> {
        Ring::make_buffer_table(self, slots)
    }

    unsafe fn register_memory(
        &mut self,
        slot: u16,
        start: NonNull<u8>,
        length: usize,
    ) -> io::Result<()> {
        // SAFETY: passed on by the caller.
        unsafe { Ring::register_memory(self, slot, start, length) }
    }

    fn unregister_memory(&mut self, slot: u16) -> io::Result<()> {
        Ring::unregister_memory(self, slot)
    }

    fn release_file_table(&mut self) {
        Ring::release_file_table(self);
    }

    fn allowed_bypasses(&self) -> Bypasses {
        Ring::allowed_bypasses(self)
    }
}
