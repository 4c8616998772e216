//! The driver: everything between a future that waits for the kernel and the ring.
//!
//! It knows wakers, not tasks, and SQEs, not sockets.
//!
//! - [`turn`] submits, waits, collects and wakes.
//! - [`operations`] submits, polls, orphans and cancels operations.
//! - [`core`] is all that is in flight, and the ring: it pushes, enters and reaps.
//!   - [`submission_queue`] holds SQEs on their way to the kernel; [`chains`] makes linked
//!     ones, and [`chain_watch`] sees whether the kernel takes them together.
//!   - [`slots`] are the operations in flight; [`slot`] is the life of one, as a table of states,
//!     and [`key`] its name.
//! - [`timers`] holds the deadlines and the clock.
//! - [`buffers`] holds the buffers for received bytes.
//! - [`staged`] is what has something to submit at the end of the turn; [`spare_buffers`] are for
//!   that, and [`unsent`] counts what the end of the runtime waits for.
//! - [`file_table`] allocates the ring's file slots.
//! - [`registered_memory`] is memory that the kernel has pinned for reads and writes, in a slot of
//!   the ring's [`buffer_table`].
//! - [`inline`] bounds the system calls that are made instead of SQEs.
//! - [`close_watch`] wakes the tasks that wait for a free descriptor.
//! - [`refusals`] reports a kernel that takes nothing.
//! - [`trimming`] gives memory back after a peak.
//! - [`counters`] counts what `metrics` reports; `publisher` passes it to exporters.
//!
//! # Teardown
//!
//! [`Driver::close`] refuses new work, cancels everything, and reaps until the kernel has completed
//! every SQE. Closing the ring before that would not stop the kernel from writing to buffers
//! (`uring-sys-tests`, worker_writes_after_close). What it has not completed in time, it may still
//! access: that is leaked.

mod buffer_table;
mod buffers;
mod chain_watch;
mod chains;
mod close_watch;
mod completion_list;
mod core;
mod counters;
mod device_feed;
mod file_table;
mod inline;
mod key;
mod operations;
#[cfg(feature = "metrics")]
mod publisher;
mod refusals;
mod registered_memory;
mod settings;
mod slot;
mod slots;
mod spare_buffers;
mod spare_segments;
mod staged;
mod submission_queue;
mod teardown;
#[cfg(test)]
mod tests;
mod timers;
mod trimming;
mod turn;
mod unsent;

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;

pub(crate) use buffers::{BufferSize, BufferSizes, OwnedBuffer};
pub use counters::Metrics;
pub(crate) use file_table::{FIXED_FILE, FileSlot, SlotKeeper};
pub(crate) use key::Key;
#[cfg(feature = "metrics")]
pub use publisher::MetricsPublisher;
pub(crate) use registered_memory::RegisteredMemory;
pub(crate) use settings::Settings;
pub(crate) use slot::{Detached, Orphan};
pub(crate) use spare_buffers::SpareBuffers;
pub(crate) use spare_segments::SpareSegments;
pub(crate) use timers::TimerKey;
pub(crate) use unsent::{UnsentGuard, UnsentWrites};

use self::core::Core;
use buffer_table::BufferTable;
use buffers::Buffers;
use close_watch::CloseWatch;
use counters::Counters;
use inline::InlineBudget;
use staged::StagedList;
use timers::Timers;
use trimming::Trimming;

use crate::error::{IncidentHook, catch_panic};
use crate::sys::bypass::{Bypass, Bypasses};
use crate::sys::capabilities::Capabilities;
use crate::sys::{Drained, Ring, RingKind};
use crate::task::LocalWaker;

/// A ring and all that is in flight on it. Belongs to one thread.
pub(crate) struct Driver {
    core: RefCell<Core>,
    timers: Timers,
    buffers: Buffers,
    buffer_table: RefCell<BufferTable>,
    staged: StagedList,
    spare_buffers: SpareBuffers,
    spare_segments: SpareSegments,
    unsent_writes: Rc<UnsentWrites>,
    inline: InlineBudget,
    close_watch: CloseWatch,
    trimming: Trimming,
    counters: Rc<Counters>,
    /// A list to swap with the one that reaping fills, so that neither is ever allocated anew.
    spare_wakers: Cell<Vec<LocalWaker>>,
    settings: Settings,
    /// What the ring is, or was once it is closed.
    kind: RingKind,
    capabilities: Capabilities,
    bypasses: Bypasses,
    incidents: IncidentHook,
}

impl Driver {
    /// A driver on `ring`. A write to the eventfd `bell` ends a wait.
    pub(crate) fn new(
        ring: impl Into<Ring>,
        capabilities: Capabilities,
        bell: RawFd,
        settings: Settings,
        incidents: IncidentHook,
    ) -> Self {
        let ring = ring.into();
        let (kind, bypasses) = (ring.kind(), ring.allowed_bypasses());
        let counters = Rc::<Counters>::default();
        let inline = InlineBudget::new(&ring);
        let core = Core::new(ring, bell, Rc::clone(&counters), settings.file_slots);
        Self {
            core: RefCell::new(core),
            timers: Timers::new(settings.is_clock_paused),
            buffers: Buffers::new(settings.buffers),
            buffer_table: RefCell::default(),
            staged: StagedList::default(),
            spare_buffers: SpareBuffers::default(),
            spare_segments: SpareSegments::default(),
            unsent_writes: Rc::default(),
            inline,
            close_watch: CloseWatch::default(),
            trimming: Trimming::new(),
            counters,
            spare_wakers: Cell::default(),
            settings,
            kind,
            capabilities,
            bypasses,
            incidents,
        }
    }

    /// Whether new operations are refused.
    pub(crate) fn is_closing(&self) -> bool {
        self.core.borrow().is_closing()
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Whether operations may make system calls of this kind without the ring.
    #[inline]
    pub(crate) fn allows(&self, bypass: Bypass) -> bool {
        self.bypasses.contains(bypass)
    }

    /// Whether the ring makes a system call for each SQE, which so saves none.
    #[inline]
    pub(crate) fn makes_calls(&self) -> bool {
        self.kind == RingKind::Portable
    }

    /// A socket comes to the ring, of which [`forget`](Self::forget) will tell when it leaves.
    #[inline]
    pub(crate) fn adopt(&self, fd: RawFd) {
        if let Some(ring) = self.core.borrow_mut().ring() {
            ring.adopt(fd);
        }
    }

    /// An inline receive, made just now, has found that an adopted socket has nothing more.
    #[inline]
    pub(crate) fn note_drained(&self, fd: RawFd, how: Drained) {
        // The kernel knows.
        if self.makes_calls() {
            if let Some(ring) = self.core.borrow_mut().ring() {
                ring.note_drained(fd, how);
            }
        }
    }

    /// A descriptor leaves the ring, because it is closed or handed out, or comes to it. A ring
    /// that knows which descriptors are ready begins anew with this number.
    #[inline]
    pub(crate) fn forget(&self, fd: RawFd) {
        if let Some(ring) = self.core.borrow_mut().ring() {
            ring.forget(fd);
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    pub(crate) fn close_watch(&self) -> &CloseWatch {
        &self.close_watch
    }

    /// Where errors go that no task awaits.
    pub(crate) fn incidents(&self) -> &IncidentHook {
        &self.incidents
    }

    /// Whether an operation may be done by an inline call now.
    pub(crate) fn may_run_inline(&self) -> bool {
        #[cfg(feature = "faults")]
        if self.inline.is_withheld() {
            return false;
        }
        !self.inline.is_spent() && self.allows(Bypass::Inline) && !self.is_closing()
    }

    /// Whether this turn has queued no SQE and made no inline call so far.
    #[inline]
    pub(crate) fn is_first_of_turn(&self) -> bool {
        self.inline.is_untouched() && self.core.borrow_mut().queued() == 0
    }

    /// Counts an operation that was done by an inline call.
    pub(crate) fn note_inline_call(&self, bytes: usize) {
        self.counters.inline_calls.increment();
        self.inline.spend(bytes);
    }

    /// Whether the turn's budget for inline calls is spent, so that the turn should end.
    pub(crate) fn is_turn_spent(&self) -> bool {
        self.inline.is_spent()
    }

    /// The buffers for received bytes, which the first call makes.
    pub(crate) fn buffers(&self) -> &Buffers {
        if !self.buffers.are_made() {
            self.make_buffers();
        }
        &self.buffers
    }

    /// The buffers for received bytes, of which those for datagrams are made by the first call.
    pub(crate) fn datagram_buffers(&self) -> &Buffers {
        if !self.buffers.are_datagrams_made() {
            self.buffers.make_datagrams(self.core.borrow_mut().ring());
        }
        &self.buffers
    }

    #[cold]
    fn make_buffers(&self) {
        let incidents = self.buffers.make(self.core.borrow_mut().ring());
        incidents.iter().for_each(|incident| (self.incidents)(incident));
    }

    /// Buffers for what is staged.
    pub(crate) fn spare_buffers(&self) -> &SpareBuffers {
        &self.spare_buffers
    }

    /// Segment lists for vectored transfers.
    pub(crate) fn spare_segments(&self) -> &SpareSegments {
        &self.spare_segments
    }

    /// The writes that no future waits for.
    pub(crate) fn unsent_writes(&self) -> &Rc<UnsentWrites> {
        &self.unsent_writes
    }

    /// Wakes the tasks that wait for a free descriptor, as a socket or file has been closed. Runs
    /// foreign code.
    pub(crate) fn note_close(&self) {
        for waker in self.close_watch.note_close() {
            self.report_panic(catch_panic(|| waker.wake()));
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let counters = self.counters.read();
        Metrics {
            ring: self.kind,
            in_kernel: counters.submitted - counters.completed,
            queued: self.core.borrow_mut().queued() as u64,
            provided_buffers_in_use: self.buffers.provided_in_use(),
            datagram_buffers_in_use: self.buffers.datagrams_in_use(),
            fallback_buffer_bytes: self.buffers.fallback_bytes(),
            timers: self.timers.len(),
            ..counters
        }
    }
}
