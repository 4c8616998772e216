//! The ring's table of files (direct descriptors).
//!
//! A socket in the table needs no descriptor of the process, and the kernel skips the look-up of
//! one. Which file slots are free is known here, and an SQE that puts a file into the table names
//! its slot. So the kernel never finds the table full, and closes what it has just accepted. A slot
//! is closed by an SQE, and is free when that has completed.
//!
//! An operation holds its slot to its completion. So does an SQE that belongs to no operation
//! ([`FileSlot::keep`]): the kernel looks the file up when a worker begins with it, and would find
//! that of the next connection.

use std::cell::OnceCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::{Driver, Orphan};
use crate::sys::errno::ECANCELED;
use crate::sys::types::{DestinationSlot, Fixed};
use crate::sys::{Completion, SubmissionFlags, Wait, opcode};

/// How long [`FileSlot::install`] blocks the loop at most. It takes microseconds, unless the kernel
/// takes no SQEs at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file slot, and the file in it, if there is one. Dropped, the file is closed.
pub(crate) struct FileSlot {
    driver: Rc<Driver>,
    index: u32,
    /// Whether there is no file in it any more.
    is_empty: bool,
    /// Closes the file in place of this, if SQEs have been given a share in it.
    keeper: OnceCell<Rc<SlotKeeper>>,
}

/// While one lives, a file slot is not closed.
pub(crate) struct SlotKeeper {
    driver: Rc<Driver>,
    index: u32,
}

impl FileSlot {
    /// Allocates a free slot. If there is none, counts that an ordinary descriptor will be made
    /// instead.
    pub(crate) fn alloc(driver: &Rc<Driver>) -> Option<Self> {
        let slot = Self::alloc_ahead(driver);
        if slot.is_none() {
            driver.note_file_slot_miss();
        }
        slot
    }

    /// Allocates a free slot, if there is one, for a socket that may never come.
    pub(crate) fn alloc_ahead(driver: &Rc<Driver>) -> Option<Self> {
        let index = driver.core.borrow_mut().slots.alloc_file_slot()?;
        driver.counters.direct_descriptors.increment();
        let keeper = OnceCell::new();
        Some(Self { driver: Rc::clone(driver), index, is_empty: false, keeper })
    }

    /// Keeps the slot from being closed, and from another file, until what is returned is dropped.
    pub(crate) fn keep(&self) -> Rc<SlotKeeper> {
        let keeper = || Rc::new(SlotKeeper { driver: Rc::clone(&self.driver), index: self.index });
        Rc::clone(self.keeper.get_or_init(keeper))
    }

    /// An SQE of the caller's has closed the file: the slot is free.
    pub(crate) fn free(mut self) {
        self.is_empty = true;
    }

    /// Its name in an SQE that puts a file into it.
    pub(crate) fn destination(&self) -> DestinationSlot {
        DestinationSlot::try_from_slot_target(self.index).expect("a table has fewer slots")
    }

    /// Its name in an SQE that uses the file, which must have the flag [`FIXED_FILE`].
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Makes a descriptor of the process for the file. It stays in the slot, too.
    ///
    /// # Errors
    ///
    /// If the process has no more descriptors, the runtime has ended, or the kernel takes no SQEs
    /// ([`PATIENCE`]).
    pub(crate) fn install(&self) -> io::Result<OwnedFd> {
        let sqe = opcode::FixedFdInstall::new(Fixed(self.index), 0).build();
        // SAFETY: the SQE points to no memory.
        let key = unsafe { self.driver.submit(sqe, None, Waker::noop()) };
        let key = key.ok_or_else(|| io::Error::from_raw_os_error(ECANCELED))?;
        // It completes as soon as the kernel has it. (A kernel thread that submits may take a
        // moment.)
        let mut wait = Wait::No;
        let end = Instant::now() + PATIENCE;
        let completion = loop {
            self.driver.core.borrow_mut().turn(wait);
            if let Some(completion) = self.driver.try_take(key) {
                break completion;
            }
            if Instant::now() >= end {
                self.driver.orphan(key, Box::new(Uninstalled));
                return Err(io::ErrorKind::TimedOut.into());
            }
            wait = Wait::ForOne(Duration::from_millis(1));
        };
        installed(completion)
    }
}

/// The descriptor that was made.
fn installed(completion: Completion) -> io::Result<OwnedFd> {
    // SAFETY: the completion is of an SQE that makes a descriptor (`uring-sys-tests`,
    // direct_descriptor_installed), and is used once.
    unsafe { completion.into_fd() }
}

/// An installation that is not waited for any more.
struct Uninstalled;

impl Orphan for Uninstalled {
    fn settle(&mut self, completion: Completion) {
        drop(installed(completion));
    }
}

/// The flag of an SQE that names a file slot instead of a descriptor.
pub(crate) const FIXED_FILE: SubmissionFlags = SubmissionFlags::FIXED_FILE;

impl Drop for FileSlot {
    fn drop(&mut self) {
        if self.keeper.get().is_some() {
            return;
        }
        if self.is_empty {
            self.driver.core.borrow_mut().slots.free_file_slot(self.index);
        } else {
            self.driver.close_file_slot(self.index);
        }
    }
}

impl Drop for SlotKeeper {
    fn drop(&mut self) {
        self.driver.close_file_slot(self.index);
    }
}

impl Driver {
    fn close_file_slot(&self, index: u32) {
        let sqe = opcode::Close::new(Fixed(index)).build();
        self.core.borrow_mut().close_file_slot(index, sqe);
    }

    /// Whether the ring has a table of files.
    pub(crate) fn has_file_table(&self) -> bool {
        self.settings.file_slots > 0
    }

    /// Counts a socket that found no file slot, if there is a table.
    pub(crate) fn note_file_slot_miss(&self) {
        if self.has_file_table() {
            self.counters.direct_descriptor_misses.increment();
        }
    }
}
