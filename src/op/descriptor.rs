//! What a socket or a file is reached by.

use std::cell::OnceCell;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::driver::{FIXED_FILE, FileSlot};
use crate::error::Describe;
use crate::sys::types::Fd;
use crate::sys::{Submission, SubmissionFlags};

/// A descriptor of the process, or a slot in the ring's file table (a direct descriptor), or both:
/// a direct descriptor is installed as one of the process, once, when a system call needs one.
pub(crate) struct Descriptor {
    slot: Option<FileSlot>,
    fd: OnceCell<OwnedFd>,
}

impl Descriptor {
    /// A direct descriptor.
    pub(crate) fn direct(slot: FileSlot) -> Self {
        Self { slot: Some(slot), fd: OnceCell::new() }
    }

    /// What a file will be reached by that has not been opened.
    pub(crate) fn unopened() -> Self {
        Self { slot: None, fd: OnceCell::new() }
    }

    /// It has been opened as this descriptor of the process.
    pub(in crate::op) fn open(&self, fd: OwnedFd) {
        // It is opened once.
        let _ = self.fd.set(fd);
    }

    /// An SQE has closed it: the file slot, if there is one. What has been installed beside a slot
    /// is still open, and is closed here.
    pub(in crate::op) fn forget(self) {
        match self.into_parts() {
            (Some(slot), _installed) => slot.free(),
            (None, fd) => mem::forget(fd),
        }
    }

    /// The file slot, if there is one.
    pub(in crate::op) fn slot(&self) -> Option<&FileSlot> {
        self.slot.as_ref()
    }

    /// Makes an SQE that uses it.
    #[inline]
    pub(in crate::op) fn submission(&self, build: impl FnOnce(Fd) -> Submission) -> Submission {
        let (number, flags) = match (&self.slot, self.fd.get()) {
            (Some(slot), _) => (slot.index() as i32, FIXED_FILE),
            (None, Some(fd)) => (fd.as_raw_fd(), SubmissionFlags::empty()),
            (None, None) => unreachable!("a descriptor has a file slot or a number"),
        };
        // Built in one place: two would be twice the code of each operation.
        build(Fd(number)).flags(flags)
    }

    /// The descriptor of the process, if there is one already.
    pub(crate) fn fd_if_open(&self) -> Option<&OwnedFd> {
        self.fd.get()
    }

    /// The descriptor of the process, for system calls. A direct descriptor is installed.
    ///
    /// # Errors
    ///
    /// If there is none yet, and the process has no more or the runtime has ended.
    pub(crate) fn fd(&self) -> io::Result<&OwnedFd> {
        if let (None, Some(slot)) = (self.fd.get(), &self.slot) {
            let fd = slot.install().describe("install a direct descriptor")?;
            return Ok(self.fd.get_or_init(|| fd));
        }
        Ok(self.fd.get().expect("a descriptor has a file slot or a number"))
    }

    /// Leaves the file slot, and keeps the descriptor of the process.
    ///
    /// # Errors
    ///
    /// As for [`fd`](Self::fd).
    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        self.fd()?;
        Ok(self.fd.into_inner().expect("the line before has opened it"))
    }

    /// The file slot, if there is one, and the descriptor of the process, if there is one.
    pub(in crate::op) fn into_parts(self) -> (Option<FileSlot>, Option<OwnedFd>) {
        (self.slot, self.fd.into_inner())
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Self {
        Self { slot: None, fd: OnceCell::from(fd) }
    }
}
