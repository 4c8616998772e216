//! What a socket is reached by.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::driver::{FIXED_FILE, FileSlot};
use crate::error::Describe;
use crate::sys::Submission;
use crate::sys::types::Fd;

/// A descriptor of the process, or a place in the ring's table, or both: what stands in a place gets a
/// descriptor when a system call needs one.
pub(crate) struct Descriptor {
    place: Option<FileSlot>,
    fd: OnceCell<OwnedFd>,
}

impl Descriptor {
    /// Of a socket that stands in a place.
    pub(crate) fn direct(place: FileSlot) -> Self {
        Self { place: Some(place), fd: OnceCell::new() }
    }

    /// Makes an entry that uses it.
    pub(super) fn entry(&self, build: impl FnOnce(Fd) -> Submission) -> Submission {
        match (&self.place, self.fd.get()) {
            (Some(place), _) => build(Fd(place.index() as i32)).flags(FIXED_FILE),
            (None, Some(fd)) => build(Fd(fd.as_raw_fd())),
            (None, None) => unreachable!("what has no place has a descriptor"),
        }
    }

    /// The descriptor of the process, if there is one already.
    pub(crate) fn fd_at_hand(&self) -> Option<&OwnedFd> {
        self.fd.get()
    }

    /// The descriptor of the process, for system calls.
    ///
    /// # Errors
    ///
    /// If there is none yet, and the process has no more or the runtime has ended.
    pub(crate) fn fd(&self) -> io::Result<&OwnedFd> {
        if let (None, Some(place)) = (self.fd.get(), &self.place) {
            let fd = place.install().describe("install a direct descriptor")?;
            return Ok(self.fd.get_or_init(|| fd));
        }
        Ok(self.fd.get().expect("what has no place has a descriptor"))
    }

    /// Leaves the place, and keeps the descriptor of the process.
    ///
    /// # Errors
    ///
    /// As for [`fd`](Self::fd).
    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        self.fd()?;
        Ok(self.fd.into_inner().expect("it has just been there"))
    }

    /// The place, if there is one, and the descriptor, if there is one.
    pub(super) fn into_parts(self) -> (Option<FileSlot>, Option<OwnedFd>) {
        (self.place, self.fd.into_inner())
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Self {
        Self { place: None, fd: OnceCell::from(fd) }
    }
}
