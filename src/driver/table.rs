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
use std::time::Duration;

use super::Driver;
use crate::sys::errno::ECANCELED;
use crate::sys::types::{DestinationSlot, Fixed};
use crate::sys::{Ring, SubmissionFlags, Wait, opcode};

/// A place that belongs to its holder. Dropped, what stands there is closed.
pub(crate) struct Place {
    driver: Rc<Driver>,
    index: u32,
}

impl Place {
    /// Takes a free place, if there is one.
    pub(crate) fn take(driver: &Rc<Driver>) -> Option<Self> {
        let index = driver.flight.borrow_mut().take_place();
        driver.note_place(index.is_some());
        let index = index?;
        Some(Self { driver: Rc::clone(driver), index })
    }

    /// Its name in an entry that puts something there.
    pub(crate) fn target(&self) -> DestinationSlot {
        DestinationSlot::try_from_slot_target(self.index).expect("a table has fewer places")
    }

    /// Its name in an entry that uses what stands there, which is to have [`IS_PLACE`].
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Makes a descriptor of the process for what stands there. It stays there, too.
    ///
    /// # Errors
    ///
    /// If the process has no more descriptors, or the runtime has ended.
    pub(crate) fn install(&self) -> io::Result<OwnedFd> {
        let entry = opcode::FixedFdInstall::new(Fixed(self.index), 0).build();
        // SAFETY: the entry points to no memory.
        let key = unsafe { self.driver.submit(entry, Waker::noop()) };
        let key = key.ok_or_else(|| io::Error::from_raw_os_error(ECANCELED))?;
        // It completes as soon as the kernel has it. (A kernel thread that submits may take a moment.)
        let mut wait = Wait::No;
        let completion = loop {
            self.driver.flight.borrow_mut().turn(wait);
            match self.driver.try_take(key) {
                Some(completion) => break completion,
                None => wait = Wait::AtMost(Duration::from_millis(1)),
            }
        };
        // SAFETY: the result is a new descriptor that belongs to nobody else.
        completion.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}

/// The flag of an entry that names a place instead of a descriptor.
pub(crate) const IS_PLACE: SubmissionFlags = SubmissionFlags::FIXED_FILE;

impl Drop for Place {
    fn drop(&mut self) {
        self.driver.empty_place(self.index);
    }
}

impl<R: Ring> Driver<R> {
    /// Whether the ring has a table of files.
    pub(crate) fn has_table(&self) -> bool {
        self.places > 0
    }

    /// Counts a place that was taken, or a table that was found full.
    fn note_place(&self, is_taken: bool) {
        if self.has_table() {
            let count = if is_taken { &self.places_taken } else { &self.place_misses };
            count.set(count.get() + 1);
        }
    }

    /// At the runtime's end the table goes as a whole.
    fn empty_place(&self, index: u32) {
        let mut flight = self.flight.borrow_mut();
        if !flight.is_closing() {
            flight.empty_place(index, opcode::Close::new(Fixed(index)).build());
        }
    }
}
