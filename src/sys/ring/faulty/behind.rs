//! What a faulty ring asks of the ring behind it; see `Ring`, which has the same methods.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use crate::sys::bypass::Bypasses;
use crate::sys::ring::interface::{Drained, Entered, Full, Wait};
use crate::sys::{BufferRing, Completion, RingKind, Submission};

/// Any ring.
pub(crate) trait Behind {
    /// # Safety
    ///
    /// As for `Ring::push`, for each SQE.
    unsafe fn push_all(&mut self, sqes: &[Submission]) -> Result<(), Full>;
    fn kind(&self) -> RingKind;
    fn capacity(&self) -> usize;
    fn queued(&mut self) -> usize;
    fn has_deferred(&mut self) -> bool;
    fn is_overflown(&mut self) -> bool;
    fn has_completions(&mut self) -> bool;
    fn signal_by(&mut self, counter: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>>;
    fn enter(&mut self, wait: Wait) -> Entered;
    fn adopt(&mut self, fd: RawFd);
    fn note_drained(&mut self, fd: RawFd, how: Drained);
    fn forget(&mut self, fd: RawFd);
    fn reap_into(&mut self, completions: &mut Vec<Completion>);
    /// # Safety
    ///
    /// As for `Ring::register_buffers`.
    unsafe fn register_buffers(&mut self, buffers: &BufferRing, group: u16) -> io::Result<()>;
    fn release_buffers(&mut self, group: u16);
    fn make_buffer_table(&mut self, slots: u16) -> io::Result<()>;
    /// # Safety
    ///
    /// As for `Ring::register_memory`.
    unsafe fn register_memory(
        &mut self,
        slot: u16,
        start: NonNull<u8>,
        length: usize,
    ) -> io::Result<()>;
    fn unregister_memory(&mut self, slot: u16) -> io::Result<()>;
    fn release_file_table(&mut self);
    fn allowed_bypasses(&self) -> Bypasses;
}
