//! The ring's table of files: sockets that stand there (direct descriptors) need no descriptor of the
//! process, and the kernel finds them with less effort.
//!
//! Which places are free is kept here, and entries that put something into the table name the place. So
//! the table is never found full by the kernel, which would then close what it has just accepted. A place
//! is emptied by an entry, and is free when that has completed.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::{Driver, Orphan};
use crate::sys::errno::ECANCELED;
use crate::sys::types::{DestinationSlot, Fixed};
use crate::sys::{Completion, SubmissionFlags, Wait, opcode};

/// How long a descriptor is waited for, by a call that blocks the loop. It takes microseconds, unless
/// the kernel takes nothing at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// A place that belongs to its holder. Dropped, what stands there is closed.
pub(crate) struct FileSlot {
    driver: Rc<Driver>,
    index: u32,
}

impl FileSlot {
    /// Takes a free place, if there is one. If there is none that is counted, as there will be an
    /// ordinary descriptor instead.
    pub(crate) fn alloc(driver: &Rc<Driver>) -> Option<Self> {
        let place = Self::alloc_ahead(driver);
        if place.is_none() {
            driver.note_file_slot_miss();
        }
        place
    }

    /// Takes a free place, if there is one, for a socket that may never come.
    pub(crate) fn alloc_ahead(driver: &Rc<Driver>) -> Option<Self> {
        let index = driver.core.borrow_mut().alloc_file_slot()?;
        driver.file_slots_taken.set(driver.file_slots_taken.get() + 1);
        Some(Self { driver: Rc::clone(driver), index })
    }

    /// Its name in an entry that puts something there.
    pub(crate) fn target(&self) -> DestinationSlot {
        DestinationSlot::try_from_slot_target(self.index).expect("a table has fewer places")
    }

    /// Its name in an entry that uses what stands there, which is to have [`FIXED_FILE`].
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Makes a descriptor of the process for what stands there. It stays there, too.
    ///
    /// # Errors
    ///
    /// If the process has no more descriptors, the runtime has ended, or the kernel takes no entries
    /// ([`PATIENCE`]).
    pub(crate) fn install(&self) -> io::Result<OwnedFd> {
        let entry = opcode::FixedFdInstall::new(Fixed(self.index), 0).build();
        // SAFETY: the entry points to no memory.
        let key = unsafe { self.driver.submit(entry, Waker::noop()) };
        let key = key.ok_or_else(|| io::Error::from_raw_os_error(ECANCELED))?;
        // It completes as soon as the kernel has it. (A kernel thread that submits may take a moment.)
        let mut wait = Wait::No;
        let end = Instant::now() + PATIENCE;
        let completion = loop {
            self.driver.core.borrow_mut().turn(wait);
            if let Some(completion) = self.driver.try_take(key) {
                break completion;
            }
            if Instant::now() >= end {
                self.driver.abandon(key, Box::new(Uninstalled));
                return Err(io::ErrorKind::TimedOut.into());
            }
            wait = Wait::ForOne(Duration::from_millis(1));
        };
        installed(completion)
    }
}

/// The descriptor that was made.
fn installed(completion: Completion) -> io::Result<OwnedFd> {
    // SAFETY: the result is a new descriptor that belongs to nobody else.
    completion.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// An installation that nobody waits for any more.
struct Uninstalled;

impl Orphan for Uninstalled {
    fn settle(&mut self, completion: Completion) {
        drop(installed(completion));
    }
}

/// The flag of an entry that names a place instead of a descriptor.
pub(crate) const FIXED_FILE: SubmissionFlags = SubmissionFlags::FIXED_FILE;

impl Drop for FileSlot {
    fn drop(&mut self) {
        self.driver.close_file_slot(self.index);
    }
}

impl Driver {
    /// Whether the ring has a table of files.
    pub(crate) fn has_file_table(&self) -> bool {
        self.file_slots > 0
    }

    /// Counts a socket that found no place, if there is a table.
    pub(crate) fn note_file_slot_miss(&self) {
        if self.has_file_table() {
            self.file_slot_misses.set(self.file_slot_misses.get() + 1);
        }
    }

    /// At the runtime's end the table goes as a whole.
    fn close_file_slot(&self, index: u32) {
        let mut core = self.core.borrow_mut();
        if !core.is_closing() {
            core.close_file_slot(index, opcode::Close::new(Fixed(index)).build());
        }
    }
}
