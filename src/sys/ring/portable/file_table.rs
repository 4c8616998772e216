//! The file table: descriptors that the ring owns.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::sys::errno::{EBADF, EINVAL, ENFILE};

/// Slots with files. A request that uses a slot shares its file, so that a close of the slot leaves
/// the request what it works on, as in the kernel (`uring-sys-tests`, slot_reuse_isolated).
#[derive(Default)]
pub(super) struct FileTable(Vec<Option<Rc<OwnedFd>>>);

impl FileTable {
    pub(super) fn resize(&mut self, slots: u32) {
        self.0.resize(slots as usize, None);
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Rc<OwnedFd>> {
        self.0.get(slot as usize)?.as_ref()
    }

    /// Puts a file into a slot. Returns what was there.
    ///
    /// # Errors
    ///
    /// As the kernel's, for a slot that is not in the table: `ENFILE` if there is no table. The
    /// file is closed.
    pub(super) fn put(&mut self, slot: u32, file: OwnedFd) -> Result<Option<Rc<OwnedFd>>, i32> {
        let errno = if self.0.is_empty() { ENFILE } else { EINVAL };
        let place = self.0.get_mut(slot as usize).ok_or(errno)?;
        Ok(place.replace(Rc::new(file)))
    }

    /// Empties a slot.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is empty.
    pub(super) fn take(&mut self, slot: u32) -> Result<Rc<OwnedFd>, i32> {
        self.0.get_mut(slot as usize).and_then(Option::take).ok_or(EBADF)
    }

    /// Takes all files out, and ends the table.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Rc<OwnedFd>> {
        std::mem::take(&mut self.0).into_iter().flatten()
    }
}
