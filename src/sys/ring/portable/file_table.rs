//! The file table: descriptors that the ring owns.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

/// Slots with files. A request that uses a slot shares its file, so that a close of the slot leaves
/// the request what it works on, as in the kernel (`uring-sys-tests`, slot_reuse_isolated).
#[derive(Default)]
pub(super) struct FileTable(Vec<Option<Rc<OwnedFd>>>);

impl FileTable {
    pub(super) fn resize(&mut self, slots: u32) {
        self.0.resize(slots as usize, None);
    }

    pub(super) fn fd(&self, slot: u32) -> Option<RawFd> {
        self.0.get(slot as usize)?.as_ref().map(AsRawFd::as_raw_fd)
    }
}
