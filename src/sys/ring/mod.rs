//! The seam between the driver and what carries out its submissions.
//!
//! The driver needs only the methods of [`Ring`]: it queues SQEs, enters, and reaps CQEs, and knows
//! nothing of mapped memory or system calls. Which ring it is on is chosen at run time, so every
//! operation runs on every ring. An enum and not a trait object: a program stays on one ring, and a
//! branch that is predicted costs less than a call through a pointer.
//!
//! - [`kernel`] is io_uring.
//! - [`portable`] carries out the SQEs in user space, where there is no io_uring.
//! - `faulty` is in front of one of these, and changes its answers on purpose (feature `faults`).
//! - `scripted` does what a unit test says.
//!
//! A further ring is a variant here and a file beside these with the same methods. It reads SQEs
//! through `sys::Sqe`. And because operations also make system calls of their own on the
//! descriptors that a ring hands out, it says which of them work there
//! ([`Ring::allowed_bypasses`]); `sys::bypass` lists them.

#[cfg(feature = "faults")]
mod behind_faults;
#[cfg(feature = "faults")]
mod faulty;
mod interface;
mod kernel;
mod portable;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod scripted_links;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;

#[cfg(feature = "faults")]
pub use faulty::{FaultKind, FaultLog, Faults};
#[cfg(feature = "faults")]
pub(crate) use faulty::{FaultyRing, InlineFaults};
pub(crate) use interface::{
    BUFFER_GROUP, DATAGRAM_GROUP, Drained, Entered, Full, Wait, WorkerLimits,
};
pub(crate) use kernel::{Batch, KernelRing};
pub(crate) use portable::PortableRing;
#[cfg(any(test, fuzzing))]
pub(crate) use portable::fuzz::sqes as fuzz_sqes;
#[cfg(test)]
pub(crate) use scripted::{NONEMPTY, NOTIFICATION, ScriptedRing};

use super::bypass::Bypasses;
use super::{BufferRing, Completion, RingKind, Submission};

/// A submission queue and a completion queue.
#[expect(clippy::large_enum_variant, reason = "a runtime has one, mostly the large one")]
pub(crate) enum Ring {
    Kernel(KernelRing),
    /// Needs no io_uring.
    Portable(Box<PortableRing>),
    /// In front of another, whose answers it changes on purpose.
    #[cfg(feature = "faults")]
    Faulty(Box<FaultyRing>),
    /// Does what a test tells it to.
    #[cfg(test)]
    Scripted(ScriptedRing),
}

/// Calls the method of the ring that this is.
macro_rules! on_each {
    ($this:ident, $ring:ident => $call:expr) => {
        match $this {
            Self::Kernel($ring) => $call,
            Self::Portable($ring) => $call,
            #[cfg(feature = "faults")]
            Self::Faulty($ring) => $call,
            #[cfg(test)]
            Self::Scripted($ring) => $call,
        }
    };
}

impl Ring {
    /// Which of the rings that users know this is.
    pub(crate) fn kind(&self) -> RingKind {
        match self {
            Self::Kernel(_) => RingKind::Kernel,
            Self::Portable(_) => RingKind::Portable,
            #[cfg(feature = "faults")]
            Self::Faulty(ring) => ring.kind(),
            #[cfg(test)]
            Self::Scripted(_) => RingKind::Auto,
        }
    }

    /// Queues an SQE. It reaches the kernel with the next [`enter`](Self::enter).
    ///
    /// # Safety
    ///
    /// All memory that the SQE points to stays valid, and nothing else accesses it, until its last
    /// completion has been reaped.
    #[inline]
    pub(crate) unsafe fn push(&mut self, sqe: &Submission) -> Result<(), Full> {
        // SAFETY: passed on by the caller.
        unsafe { on_each!(self, ring => ring.push(sqe)) }
    }

    /// Queues linked SQEs: all of them, or none if there is not room for all. They become visible
    /// together, so that a kernel thread never takes one without the next.
    ///
    /// # Safety
    ///
    /// As for [`push`](Self::push), for each.
    pub(crate) unsafe fn push_all(&mut self, sqes: &[Submission]) -> Result<(), Full> {
        // SAFETY: passed on by the caller.
        unsafe { on_each!(self, ring => ring.push_all(sqes)) }
    }

    /// How many SQEs may be queued at a time.
    pub(crate) fn capacity(&self) -> usize {
        on_each!(self, ring => ring.capacity())
    }

    /// How many SQEs are queued and not yet submitted.
    #[inline]
    pub(crate) fn queued(&mut self) -> usize {
        on_each!(self, ring => ring.queued())
    }

    /// Whether the kernel has finished work whose completions only an enter will report.
    #[inline]
    pub(crate) fn has_deferred(&mut self) -> bool {
        on_each!(self, ring => ring.has_deferred())
    }

    /// Whether completions that found no room in the completion queue wait for an enter.
    #[inline]
    pub(crate) fn is_overflown(&mut self) -> bool {
        on_each!(self, ring => ring.is_overflown())
    }

    /// Whether completions wait in the completion queue to be reaped.
    pub(crate) fn has_completions(&mut self) -> bool {
        on_each!(self, ring => ring.has_completions())
    }

    /// Has the kernel signal an eventfd whenever there is something to collect: a completion, or
    /// finished work whose completions only an enter will report. Once.
    ///
    /// Where no kernel does that, returns a descriptor to be watched instead, which is readable
    /// when the counter is or there is something to collect.
    ///
    /// # Errors
    ///
    /// If the ring cannot.
    pub(crate) fn signal_by(&mut self, counter: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        on_each!(self, ring => ring.signal_by(counter))
    }

    /// Submits everything queued, then waits as told.
    #[inline]
    pub(crate) fn enter(&mut self, wait: Wait) -> Entered {
        on_each!(self, ring => ring.enter(wait))
    }

    /// A socket comes to the ring, of which [`forget`](Self::forget) tells when it leaves. For
    /// rings that know what descriptors are ready.
    #[inline]
    pub(crate) fn adopt(&mut self, fd: RawFd) {
        match self {
            Self::Portable(ring) => ring.adopt(fd),
            #[cfg(feature = "faults")]
            Self::Faulty(ring) => ring.adopt(fd),
            _ => {}
        }
    }

    /// A receive that was made without the ring, just now, has found that an adopted socket has
    /// nothing more. For rings that know what descriptors are ready.
    #[inline]
    pub(crate) fn note_drained(&mut self, fd: RawFd, how: Drained) {
        match self {
            Self::Portable(ring) => ring.note_drained(fd, how),
            #[cfg(feature = "faults")]
            Self::Faulty(ring) => ring.note_drained(fd, how),
            _ => {}
        }
    }

    /// A descriptor of the process leaves the ring, because it is closed or handed out, or comes
    /// to it. For rings that know what descriptors are ready.
    #[inline]
    pub(crate) fn forget(&mut self, fd: RawFd) {
        match self {
            Self::Portable(ring) => ring.forget(fd),
            #[cfg(feature = "faults")]
            Self::Faulty(ring) => ring.forget(fd),
            _ => {}
        }
    }

    /// Passes every completion in the completion queue to `sink` and frees its CQE there.
    #[inline]
    pub(crate) fn reap(&mut self, sink: impl FnMut(Completion)) {
        on_each!(self, ring => ring.reap(sink));
    }

    /// Provides buffers, for SQEs that name the group. At most once for each.
    ///
    /// # Safety
    ///
    /// The buffer ring lives until [`release_buffers`](Self::release_buffers), or for ever.
    ///
    /// # Errors
    ///
    /// If the ring has no provided buffers, or no memory for them.
    pub(crate) unsafe fn register_buffers(
        &mut self,
        buffers: &BufferRing,
        group: u16,
    ) -> io::Result<()> {
        // SAFETY: passed on by the caller.
        unsafe { on_each!(self, ring => ring.register_buffers(buffers, group)) }
    }

    /// Takes the buffers of a group back, when no SQE that names it is in flight any more.
    pub(crate) fn release_buffers(&mut self, group: u16) {
        on_each!(self, ring => ring.release_buffers(group));
    }

    /// Makes a table of registered buffers, whose slots are empty. At most once.
    ///
    /// # Errors
    ///
    /// If the ring has none, or no memory for it.
    pub(crate) fn make_buffer_table(&mut self, slots: u16) -> io::Result<()> {
        on_each!(self, ring => ring.make_buffer_table(slots))
    }

    /// Registers memory in an empty slot of the table.
    ///
    /// # Safety
    ///
    /// The memory stays valid until it is unregistered, or for ever, or is never given to another
    /// owner: a mapping of its own may be unmapped, as the ring keeps its pages
    /// (`uring-sys-tests`, registered_pages_outlive_their_mapping).
    ///
    /// # Errors
    ///
    /// `ENOMEM` if it is more than the process may lock.
    pub(crate) unsafe fn register_memory(
        &mut self,
        slot: u16,
        start: NonNull<u8>,
        length: usize,
    ) -> io::Result<()> {
        // SAFETY: passed on by the caller.
        unsafe { on_each!(self, ring => ring.register_memory(slot, start, length)) }
    }

    /// Empties a slot. Operations in flight keep what was there.
    ///
    /// # Errors
    ///
    /// If the ring is another process's.
    pub(crate) fn unregister_memory(&mut self, slot: u16) -> io::Result<()> {
        on_each!(self, ring => ring.unregister_memory(slot))
    }

    /// Closes the files in the table, when no SQE that names a file slot is in flight any more.
    pub(crate) fn release_file_table(&mut self) {
        on_each!(self, ring => ring.release_file_table());
    }

    /// Which system calls may be made on the descriptors of this ring without it. Never changes.
    pub(crate) fn allowed_bypasses(&self) -> Bypasses {
        on_each!(self, ring => ring.allowed_bypasses())
    }
}

impl From<KernelRing> for Ring {
    fn from(ring: KernelRing) -> Self {
        Self::Kernel(ring)
    }
}

impl From<PortableRing> for Ring {
    fn from(ring: PortableRing) -> Self {
        Self::Portable(Box::new(ring))
    }
}

#[cfg(test)]
impl From<ScriptedRing> for Ring {
    fn from(ring: ScriptedRing) -> Self {
        Self::Scripted(ring)
    }
}
