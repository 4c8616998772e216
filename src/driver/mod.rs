//! The driver: everything between a future that waits for the kernel and the ring.
//!
//! It knows wakers, not tasks, and SQEs, not sockets.
//!
//! - [`turn`] submits, waits, collects and wakes.
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
mod file_table;
mod inline;
mod key;
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
use std::task::{Context, Poll, Waker, ready};

pub(crate) use buffers::{BufferSize, BufferSizes, OwnedBuffer};
pub use counters::Metrics;
pub(crate) use file_table::{FIXED_FILE, FileSlot};
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
use slot::State;
use slots::{Polled, Slots};
use staged::StagedList;
use timers::Timers;
use trimming::Trimming;

use crate::error::{IncidentHook, catch_panic};
use crate::sys::bypass::{Bypass, Bypasses};
use crate::sys::capabilities::Capabilities;
use crate::sys::errno::ECANCELED;
use crate::sys::{Completion, Ring, RingKind, Submission};
use crate::task::{LocalWaker, coop};

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

    /// Queues an operation that completes once, and returns its slot. A linked timeout cancels it
    /// in the kernel. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// What the SQEs point to stays valid and untouched until the operation's completion has been
    /// taken from the slot, or is kept by the orphan given to
    /// [`orphan`](Self::orphan).
    pub(crate) unsafe fn submit(
        &self,
        sqe: Submission,
        linked_timeout: Option<Submission>,
        waker: &Waker,
    ) -> Option<Key> {
        // A closed driver keeps no waker: dropping one is foreign code.
        if self.is_closing() {
            return None;
        }
        let state = State::waiting(LocalWaker::new(waker));
        // SAFETY: the caller keeps the SQEs' memory.
        unsafe { self.core.borrow_mut().submit(sqe, linked_timeout, state) }
    }

    /// Queues an operation that completes many times. It is stopped when `bound` completions have
    /// not been taken. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), until the last completion.
    pub(crate) unsafe fn submit_multishot(&self, sqe: Submission, bound: u32) -> Option<Key> {
        // SAFETY: the caller keeps the SQE's memory.
        unsafe { self.core.borrow_mut().submit(sqe, None, State::multishot(bound)) }
    }

    /// Queues an operation that completes with its result, and later with the notification that its
    /// memory is free. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), until the last completion.
    pub(crate) unsafe fn submit_with_notification(&self, sqe: Submission) -> Option<Key> {
        // SAFETY: the caller keeps the SQE's memory.
        unsafe { self.core.borrow_mut().submit(sqe, None, State::with_notification()) }
    }

    /// Queues an operation that no future waits for; `orphan` settles its result. If the driver is
    /// closed, it settles at once with `ECANCELED`.
    ///
    /// # Safety
    ///
    /// What the SQE points to is kept by `orphan`.
    pub(crate) unsafe fn submit_detached(&self, sqe: Submission, mut orphan: Box<dyn Orphan>) {
        let mut core = self.core.borrow_mut();
        if core.is_closing() {
            drop(core);
            orphan.settle(Completion::failed(ECANCELED));
            return;
        }
        // SAFETY: the slot keeps the orphan until the SQE's last completion; the kernel does not
        // write to its memory after that (`uring-sys-tests`, freed_buffer_never_written).
        unsafe { core.submit(sqe, None, State::orphaned(orphan)) };
    }

    /// Queues an operation of an object that no future waits for, which takes its completions
    /// itself. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// What the SQE points to stays valid and untouched as long as `owner` lives, or until the last
    /// completion.
    pub(crate) unsafe fn submit_of(&self, sqe: Submission, owner: Rc<dyn Detached>) -> Option<Key> {
        let mut core = self.core.borrow_mut();
        if core.is_closing() {
            drop(core);
            // Foreign code, if this is the last reference.
            drop(owner);
            return None;
        }
        // SAFETY: the slot keeps the owner until the SQE's last completion; the kernel does not
        // access its memory after that (`uring-sys-tests`, freed_buffer_never_written).
        unsafe { core.submit(sqe, None, State::Detached(owner)) }
    }

    /// Has an object submit what it has staged, at the end of this turn.
    pub(crate) fn stage(&self, owner: Rc<dyn Detached>) {
        self.staged.add(owner);
    }

    /// Polls a one-shot operation for its result, which frees the slot.
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Poll<Completion> {
        self.poll_slots(waker, |slots, clone| slots.poll(key, waker, clone)).map(taken)
    }

    /// Polls a multishot operation for its next completion; `None` after the last one, which frees
    /// the slot.
    pub(crate) fn poll_next(&self, key: Key, waker: &Waker) -> Poll<Option<Completion>> {
        self.poll_slots(waker, |slots, clone| slots.poll_next(key, waker, clone, || true))
            .map(taken)
    }

    /// [`poll_next`](Self::poll_next) at the cost of the task's budget: where that is spent, a
    /// completion stays in the slot until the task is polled again.
    #[inline]
    pub(crate) fn poll_next_within_budget(
        &self,
        key: Key,
        context: &Context<'_>,
    ) -> Poll<Option<Completion>> {
        let waker = context.waker();
        let poll =
            |slots: &mut Slots, clone: &mut _| slots.poll_next(key, waker, clone, coop::try_spend);
        match ready!(self.poll_slots(waker, poll)) {
            Some(next) => Poll::Ready(next),
            None => {
                // The budget is spent, so this wakes the task, to be polled again later.
                ready!(coop::poll_spend(context));
                self.poll_next(key, waker)
            }
        }
    }

    /// Polls a slot, and stores a clone of the waker in it while it has no completion. `None` if a
    /// completion is there but `poll` withheld it.
    #[inline]
    fn poll_slots<T>(
        &self,
        waker: &Waker,
        poll: impl Fn(&mut Slots, &mut Option<LocalWaker>) -> Polled<T>,
    ) -> Poll<Option<T>> {
        let mut clone = None;
        loop {
            let polled = poll(&mut self.core.borrow_mut().slots, &mut clone);
            // Cloning and dropping wakers is foreign code: never while the core is borrowed.
            match polled {
                Polled::Ready(taken) => return Poll::Ready(Some(taken)),
                Polled::Pending(old) => {
                    drop(old);
                    return Poll::Pending;
                }
                Polled::NeedsWaker => clone = Some(LocalWaker::new(waker)),
                Polled::Withheld => return Poll::Ready(None),
            }
        }
    }

    /// Takes the result of a one-shot operation if it has completed, and then frees the slot.
    pub(crate) fn try_take(&self, key: Key) -> Option<Completion> {
        self.core.borrow_mut().slots.take_completed(key)
    }

    /// Takes the oldest completion of a multishot operation, if there is one.
    pub(crate) fn try_next(&self, key: Key) -> Option<Completion> {
        self.core.borrow_mut().slots.try_next(key)
    }

    /// Frees the slot of a multishot operation whose last completion has been taken.
    pub(crate) fn free_ended(&self, key: Key) {
        let state = self.core.borrow_mut().slots.free(key);
        drop(state);
    }

    /// The future of an operation is gone. Cancels the operation, keeps `orphan` until the kernel
    /// has completed it, and has `orphan` settle the completions that come too late.
    pub(crate) fn orphan(&self, key: Key, orphan: Box<dyn Orphan>) {
        self.keep_or_settle(key, orphan, None);
        self.cancel(key);
    }

    /// Like [`orphan`](Self::orphan), for an operation that a device may be at work on. Then the
    /// kernel does not find it to cancel it, and repeating the cancel would not help: it is not
    /// repeated.
    pub(crate) fn orphan_on_device(&self, key: Key, orphan: Box<dyn Orphan>) {
        self.keep_or_settle(key, orphan, None);
        self.core.borrow_mut().cancel_once(key);
    }

    /// Like [`orphan`](Self::orphan), for an operation whose result has been taken: only its
    /// notification is to come. Nothing is cancelled.
    pub(crate) fn orphan_after_result(&self, key: Key, orphan: Box<dyn Orphan>) {
        self.keep_or_settle(key, orphan, None);
    }

    /// Like [`orphan`](Self::orphan), for an operation whose result comes soon, and a notification
    /// after it at any time. `orphan` settles the result; `keeper` is kept until the notification,
    /// if one follows. Nothing is cancelled.
    pub(crate) fn orphan_until_notified(
        &self,
        key: Key,
        orphan: Box<dyn Orphan>,
        keeper: Box<dyn Orphan>,
    ) {
        self.keep_or_settle(key, orphan, Some(keeper));
    }

    /// Keeps `orphan` and `keeper` if the operation is in flight; else settles what is left at
    /// once.
    fn keep_or_settle(&self, key: Key, orphan: Box<dyn Orphan>, keeper: Option<Box<dyn Orphan>>) {
        let mut core = self.core.borrow_mut();
        if core.slots.state(key).in_flight() {
            let waker = core.orphan(key, orphan, keeper);
            drop(core);
            drop(waker);
        } else {
            let state = core.slots.free(key);
            drop(core);
            state.into_orphaned(orphan).settle();
        }
    }

    /// Like [`orphan`](Self::orphan), for an operation that points to no memory and whose outcome
    /// means nothing any more: it needs no orphan.
    pub(crate) fn orphan_empty(&self, key: Key) {
        let state = self.core.borrow_mut().orphan_empty(key);
        drop(state);
    }

    /// The owner of a multishot operation, which points to no memory, is done with it: cancels it,
    /// if it is in flight.
    pub(crate) fn release_multishot(&self, key: Key) {
        let mut core = self.core.borrow_mut();
        let state = if core.slots.state(key).in_flight() {
            core.orphan_empty(key)
        } else {
            core.slots.free(key)
        };
        drop(core);
        drop(state);
    }

    /// The owner of a detached operation, which points to no memory, is done with it: cancels it,
    /// if it is in flight.
    pub(crate) fn release_detached(&self, key: Key) {
        let mut core = self.core.borrow_mut();
        // It may have ended before its owner knows.
        let state = core.slots.is_in_flight(key).then(|| core.orphan_empty(key));
        drop(core);
        drop(state);
    }

    /// Cancels an operation, if it is in flight. Its completion still goes to its future, or to its
    /// orphan.
    pub(crate) fn cancel(&self, key: Key) {
        self.core.borrow_mut().cancel(key);
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

/// What an unconditional poll has taken.
fn taken<T>(polled: Option<T>) -> T {
    polled.expect("only a poll within a budget withholds a completion")
}
