//! The seam between the driver and whatever carries out its submissions.
//!
//! The driver needs no more of a ring than this trait. It speaks in submission and completion
//! entries and knows nothing of mapped memory or system calls, so that something other than the
//! kernel's ring (a portable one, a deterministic one for tests) can stand behind it.

mod kernel;
#[cfg(test)]
mod scripted;

use std::io;
use std::time::Duration;

pub(crate) use kernel::{Batch, KernelRing};
#[cfg(test)]
pub(crate) use scripted::ScriptedRing;

use super::{BufferRing, Completion, Submission};

/// How long [`Ring::enter`] may stay away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Submit and collect what is there; do not wait.
    No,
    /// Wait until something completes, or as much as the ring was told to wait for, but no longer
    /// than this.
    AtMost(Duration),
    /// Wait until something completes, or as much as the ring was told to wait for.
    Forever,
    /// Wait until one thing completes, whatever the ring was told to wait for, but no longer than
    /// this.
    ForOne(Duration),
}

/// What an enter has done.
#[derive(Debug)]
pub(crate) struct Entered {
    /// How many entries were taken, which may be fewer than were queued. Entries may have been
    /// taken even if the call failed: a kernel thread takes them whenever it likes.
    pub(crate) taken: usize,
    /// How the call itself ended, as `io_uring_enter(2)`. What was not taken stays queued.
    pub(crate) outcome: io::Result<()>,
}

/// The name of the buffers of a ring, in entries that let the kernel pick one.
pub(crate) const BUFFER_GROUP: u16 = 0;

/// The submission queue has no room: enter first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A submission queue and a completion queue.
pub(crate) trait Ring {
    /// Queues an entry. It reaches the kernel with the next [`enter`](Self::enter).
    ///
    /// # Safety
    ///
    /// All memory that the entry points to stays valid, and is not touched by anyone else, until
    /// the entry's last completion has been reaped.
    unsafe fn push(&mut self, entry: &Submission) -> Result<(), Full>;

    /// Queues entries that are linked: all of them, or none if there is not room for all. They become
    /// visible together, so that a kernel thread never takes one without the next.
    ///
    /// # Safety
    ///
    /// As for [`push`](Self::push), for each.
    unsafe fn push_all(&mut self, entries: &[Submission]) -> Result<(), Full>;

    /// How many entries are queued and not yet submitted.
    fn queued(&mut self) -> usize;

    /// Whether the kernel has finished work whose completions only an enter will report.
    fn has_deferred(&mut self) -> bool;

    /// Whether completions that found no room in the completion queue wait for an enter.
    fn is_overflown(&mut self) -> bool;

    /// Submits everything queued, then waits as told.
    fn enter(&mut self, wait: Wait) -> Entered;

    /// Lets the ring put received bytes into the buffers of this one, for entries that name
    /// [`BUFFER_GROUP`]. At most once.
    ///
    /// # Safety
    ///
    /// The buffer ring lives until [`release_buffers`](Self::release_buffers), or for ever.
    ///
    /// # Errors
    ///
    /// If there is no such thing, or no memory for it.
    unsafe fn register_buffers(&mut self, buffers: &BufferRing) -> io::Result<()>;

    /// Takes the buffers back, when no entry that names them is in flight any more.
    fn release_buffers(&mut self);

    /// Makes a table of so many places, in which files may stand instead of having descriptors of the
    /// process. At most once.
    ///
    /// # Errors
    ///
    /// If there is no such thing, or if these are more than the process may have open files.
    fn register_file_table(&mut self, places: u32) -> io::Result<()>;

    /// Closes what stands in the table, when no entry that names a place is in flight any more.
    fn release_file_table(&mut self);

    /// Hands every completion in the completion queue to `sink` and frees its place.
    fn reap(&mut self, sink: impl FnMut(Completion));
}
