//! Memory that is registered with the ring: the kernel has pinned its pages, and does not look them
//! up for each operation.
//!
//! A set of buffers takes one slot of the ring's table (`buffer_table`) for each GiB, the most that
//! a slot holds, and not one for each buffer: an SQE names the slot, and an address within its
//! memory.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use super::Driver;
use crate::buf::{IoBuf, Registration, SetMemory};
use crate::error::{Describe, Incident};
use crate::sys::Pages;
use crate::sys::errno::ENOMEM;

/// How many bytes a slot holds at most.
const MOST_OF_A_SLOT: usize = 1 << 30;

/// The pauses before each try. What other rings have given back is credited some time after.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(5)];

/// A mapping of its own, registered if the kernel took it. Dropped, it is unregistered and
/// unmapped.
pub(crate) struct RegisteredMemory {
    driver: Rc<Driver>,
    pages: Pages,
    length: usize,
    /// How many bytes each slot holds; the last may hold fewer.
    of_a_slot: usize,
    /// None if it is not registered.
    slots: Vec<u16>,
}

impl RegisteredMemory {
    /// Maps `length` bytes and registers them. No buffer of `stride` bytes lies in two slots. Where
    /// the kernel refuses, an incident says so, and the memory is not registered.
    ///
    /// # Errors
    ///
    /// If there is no memory, or if a buffer is larger than a slot.
    pub(crate) fn new(
        driver: &Rc<Driver>,
        length: NonZeroUsize,
        stride: NonZeroUsize,
    ) -> io::Result<Self> {
        if stride.get() > MOST_OF_A_SLOT {
            let text = "a registered buffer has at most 1 GiB";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let length = length.get();
        let pages = Pages::reserve(length).describe(format_args!("map {length} bytes"))?;
        let of_a_slot = MOST_OF_A_SLOT / stride * stride.get();
        let mut this = Self { driver: Rc::clone(driver), pages, length, of_a_slot, slots: vec![] };
        if let Err(error) = this.register() {
            this.unregister();
            let message = error.to_string();
            (driver.incidents)(&Incident::BuffersNotRegistered { bytes: length, message });
        }
        Ok(this)
    }

    fn register(&mut self) -> io::Result<()> {
        for offset in (0..self.length).step_by(self.of_a_slot) {
            let length = self.of_a_slot.min(self.length - offset);
            // SAFETY: the offset is within the mapping.
            let start = unsafe { self.pages.start().add(offset) };
            self.register_part(start, length).describe("register buffers")?;
        }
        Ok(())
    }

    fn register_part(&mut self, start: NonNull<u8>, length: usize) -> io::Result<()> {
        let mut core = self.driver.core.borrow_mut();
        let ended = || io::Error::other("the runtime has ended");
        let ring = core.ring().ok_or_else(ended)?;
        let slot = self.driver.buffer_table.borrow_mut().alloc(ring)?;
        // From here on it is emptied, also if that fails.
        self.slots.push(slot);
        let mut outcome = Ok(());
        for pause in PAUSES {
            thread::sleep(pause);
            // SAFETY: it is part of a mapping of its own, which lives until it is unregistered, or
            // until the ring is closed.
            outcome = unsafe { ring.register_memory(slot, start, length) };
            if !matches!(&outcome, Err(error) if error.raw_os_error() == Some(ENOMEM)) {
                break;
            }
        }
        outcome
    }

    /// Empties its slots. Where the ring is closed, or is another process's, there is nothing to
    /// do.
    fn unregister(&mut self) {
        let mut core = self.driver.core.borrow_mut();
        let Some(ring) = core.ring() else { return };
        let mut table = self.driver.buffer_table.borrow_mut();
        self.slots.drain(..).for_each(|slot| table.empty(slot, ring));
    }
}

// SAFETY: the mapping has `length` bytes, and belongs to this value. Each slot holds the bytes from
// a multiple of `of_a_slot` on.
unsafe impl SetMemory for RegisteredMemory {
    fn start(&self) -> NonNull<u8> {
        self.pages.start()
    }

    fn length(&self) -> usize {
        self.length
    }

    fn registration(&self, offset: usize) -> Option<Registration> {
        let &index = self.slots.get(offset / self.of_a_slot)?;
        Some(Registration { home: self.driver.home(), index })
    }
}

impl Drop for RegisteredMemory {
    fn drop(&mut self) {
        // Before the mapping goes.
        self.unregister();
    }
}

impl Driver {
    /// What tells this driver from others, as long as one of the two lives.
    fn home(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// The index of a buffer that is registered with this ring. (The driver of a set lives as long
    /// as its buffers, so that no other has its address.)
    #[inline]
    pub(crate) fn registered_index(&self, buffer: &impl IoBuf) -> Option<u16> {
        let registration = buffer.registration()?;
        (registration.home == self.home()).then_some(registration.index)
    }
}
