//! The driver: everything between a future that waits for the kernel and the ring.
//!
//! It knows wakers, not tasks, and entries, not sockets.
//!
//! - [`slot`] is the life of one operation in flight, as a table of states.
//! - [`core`] pushes, enters and reaps: the [`submission_queue`] holds what goes to the kernel, the [`slots`]
//!   what is known of the entries there.
//! - [`timers`] holds the deadlines.
//! - [`inline`] bounds what is done past the ring.
//! - [`refusals`] notes when the kernel takes nothing.
//! - [`file_table`] is which places of the ring's table of files are taken.
//! - [`buffers`] is who has which of the buffers that the kernel picks from.
//! - [`accepts`] is what listeners and servers have met.
//! - [`trimming`] gives memory back after a peak.
//! - [`metrics`] counts.
//!
//! # One turn
//!
//! [`Driver::turn`] enters the kernel at most once: it submits what the tasks have pushed, waits if
//! it may, and collects completions. Reaping and firing timers only *record*: wakers, and results
//! that came too late for their futures, are put on lists. The lists are worked off when nothing
//! is borrowed any more ([`Driver::run_aftermath`]), so foreign code (a waker, the destructor of a
//! buffer) may call back into the driver at will, and a panic in it hits nothing half done.
//!
//! # Teardown
//!
//! [`Driver::close`] refuses new work, cancels everything, and reaps until the kernel has let go of
//! every entry. Closing the ring before that would not stop the kernel from writing to buffers. If
//! it does not let go in time, what it may touch is leaked.

mod accepts;
mod buffers;
mod completion_list;
mod core;
mod file_table;
mod inline;
mod metrics;
mod refusals;
mod slot;
mod slots;
mod submission_queue;
mod teardown;
#[cfg(test)]
mod tests;
mod timers;
mod trimming;

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::task::{Poll, Waker};

pub(crate) use buffers::{BufferSize, BufferSizes, OwnedBuffer};
pub(crate) use file_table::{FIXED_FILE, FileSlot};
pub use metrics::Metrics;
pub(crate) use slot::{Key, Orphan};
pub(crate) use timers::TimerKey;

use self::core::Core;
use accepts::Accepts;
use buffers::Buffers;
use inline::InlineBudget;
use slot::State;
use timers::Clock;
use timers::Wheel;
use trimming::{Trimming, trim};

use crate::error::{Incident, IncidentHook, catch_panic};
use crate::sys::bypass::{Bypass, Bypasses};
use crate::sys::capabilities::Capabilities;
use crate::sys::errno::ECANCELED;
use crate::sys::{Completion, Ring, Submission, Wait};
use crate::task::LocalWaker;

/// A ring and all that is in flight on it. Belongs to one thread.
pub(crate) struct Driver {
    core: RefCell<Core>,
    wheel: RefCell<Wheel>,
    clock: Clock,
    /// Lists to swap with the recording ones, so that neither is ever allocated anew.
    spare_wakers: Cell<Vec<LocalWaker>>,
    timers_a_turn: usize,
    inline: InlineBudget,
    buffers: Buffers,
    trimming: Trimming,
    file_slots: u32,
    file_slots_taken: Cell<u64>,
    file_slot_misses: Cell<u64>,
    capabilities: Capabilities,
    bypasses: Bypasses,
    multishot_receives: Cell<u64>,
    zero_copy_sends: Cell<u64>,
    send_stalls: Cell<u64>,
    accepts: Accepts,
    incidents: IncidentHook,
}

/// How a driver is configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How many timers may fire in one turn: no more than tasks may run, or the woken ones would pile
    /// up in front of the tasks that wait for the kernel.
    pub(crate) timers_a_turn: usize,
    pub(crate) buffers: BufferSizes,
    /// How many file slots the ring has; none if it has no table of files.
    pub(crate) file_slots: u32,
    pub(crate) is_clock_stopped: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let buffers = BufferSizes::default();
        Self { timers_a_turn: 128, buffers, file_slots: 0, is_clock_stopped: false }
    }
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
        let bypasses = ring.allowed_bypasses();
        let clock = Clock::new(settings.is_clock_stopped);
        Self {
            core: RefCell::new(Core::new(ring, bell, settings.file_slots)),
            wheel: RefCell::new(Wheel::new(clock.now())),
            clock,
            spare_wakers: Cell::default(),
            timers_a_turn: settings.timers_a_turn,
            inline: InlineBudget::new(),
            buffers: Buffers::new(settings.buffers),
            trimming: Trimming::new(),
            file_slots: settings.file_slots,
            file_slots_taken: Cell::new(0),
            file_slot_misses: Cell::new(0),
            multishot_receives: Cell::new(0),
            zero_copy_sends: Cell::new(0),
            send_stalls: Cell::new(0),
            capabilities,
            bypasses,
            accepts: Accepts::default(),
            incidents,
        }
    }

    /// Whether nothing new is taken any more.
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

    /// Queues an operation that completes once and gives its slot. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// What the entry points to stays valid and untouched until the operation's completion has been
    /// taken from the slot, or is handed over with [`abandon`](Self::abandon).
    pub(crate) unsafe fn submit(&self, entry: Submission, waker: &Waker) -> Option<Key> {
        // A closed driver keeps no waker: dropping one is foreign code.
        if self.is_closing() {
            return None;
        }
        let state = State::waiting(LocalWaker::new(waker));
        // SAFETY: the caller keeps the entry's memory.
        unsafe { self.core.borrow_mut().submit(entry, state) }
    }

    /// [`submit`](Self::submit) with a link timeout that cancels the operation in the kernel.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), and the same holds for `timeout`.
    pub(crate) unsafe fn submit_with_timeout(
        &self,
        entry: Submission,
        timeout: Submission,
        waker: &Waker,
    ) -> Option<Key> {
        // A closed driver keeps no waker: dropping one is foreign code.
        if self.is_closing() {
            return None;
        }
        let state = State::waiting(LocalWaker::new(waker));
        // SAFETY: the caller keeps the entries' memory.
        unsafe { self.core.borrow_mut().submit_with_timeout(entry, timeout, state) }
    }

    /// Queues an operation that completes many times. At `bound` completions that nobody has taken
    /// it is stopped. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), until the last completion.
    pub(crate) unsafe fn submit_multishot(&self, entry: Submission, bound: u32) -> Option<Key> {
        // SAFETY: the caller keeps the entry's memory.
        unsafe { self.core.borrow_mut().submit(entry, State::multishot(bound)) }
    }

    /// Queues an operation that completes with its result, and then once more to say that the memory it
    /// points to is free. `None` if the driver is closed.
    ///
    /// # Safety
    ///
    /// As for [`submit`](Self::submit), until the last completion.
    pub(crate) unsafe fn submit_with_notification(&self, entry: Submission) -> Option<Key> {
        // SAFETY: the caller keeps the entry's memory.
        unsafe { self.core.borrow_mut().submit(entry, State::with_notification()) }
    }

    /// Queues an operation that nobody waits for; `orphan` settles its result. If the driver is
    /// closed, it settles at once with `ECANCELED`.
    ///
    /// # Safety
    ///
    /// What the entry points to is kept by `orphan`.
    pub(crate) unsafe fn submit_detached(&self, entry: Submission, mut orphan: Box<dyn Orphan>) {
        let mut core = self.core.borrow_mut();
        if core.is_closing() {
            drop(core);
            orphan.settle(Completion::failed(ECANCELED));
            return;
        }
        // SAFETY: the slot keeps the orphan until the entry's last completion.
        unsafe { core.submit(entry, State::abandoned(orphan)) };
    }

    /// Asks for the completion of a one-shot operation; a result frees the slot.
    pub(crate) fn poll(&self, key: Key, waker: &Waker) -> Poll<Completion> {
        self.poll_slot(key, waker, |core| core.take_completed(key))
    }

    /// Asks for the next completion of a multishot operation; `None` after the last one, which
    /// frees the slot.
    pub(crate) fn poll_next(&self, key: Key, waker: &Waker) -> Poll<Option<Completion>> {
        self.poll_slot(key, waker, |core| core.take_next(key))
    }

    /// Whether a completion of a multishot operation is there, or its end.
    pub(crate) fn has_next(&self, key: Key) -> bool {
        self.core.borrow_mut().has_next(key)
    }

    /// Takes what a slot has by `take`, or leaves `waker` in it.
    fn poll_slot<T>(
        &self,
        key: Key,
        waker: &Waker,
        take: impl Fn(&mut Core) -> Option<T>,
    ) -> Poll<T> {
        let mut fresh = None;
        loop {
            let mut core = self.core.borrow_mut();
            if let Some(taken) = take(&mut core) {
                return Poll::Ready(taken);
            }
            let state = core.state(key);
            if state.waker().is_some_and(|present| present.will_wake(waker)) {
                return Poll::Pending;
            }
            // Cloning and dropping wakers is foreign code: never while the core is borrowed. What
            // it calls may bring the completion, so look once more.
            let Some(clone) = fresh.take() else {
                drop(core);
                fresh = Some(LocalWaker::new(waker));
                continue;
            };
            let old = state.set_waker(clone);
            drop(core);
            drop(old);
            return Poll::Pending;
        }
    }

    /// Takes the result of a one-shot operation if it is there, and then frees the slot.
    pub(crate) fn try_take(&self, key: Key) -> Option<Completion> {
        self.core.borrow_mut().take_completed(key)
    }

    /// The future of an operation is gone: keeps what it leaves behind until the kernel is done
    /// with it, asks the kernel to cancel, and settles what comes too late.
    pub(crate) fn abandon(&self, key: Key, orphan: Box<dyn Orphan>) {
        self.part_with(key, orphan, None);
        self.cancel(key);
    }

    /// [`abandon`](Self::abandon) of an operation that has done its work: nothing is cancelled.
    pub(crate) fn keep(&self, key: Key, orphan: Box<dyn Orphan>) {
        self.part_with(key, orphan, None);
    }

    /// [`abandon`](Self::abandon) of an operation whose result is yet to come, and comes soon, and then a
    /// notice, which may take any time: `orphan` settles the result, and `keeper` is kept to the notice,
    /// if one follows. Nothing is cancelled.
    pub(crate) fn leave(&self, key: Key, orphan: Box<dyn Orphan>, keeper: Box<dyn Orphan>) {
        self.part_with(key, orphan, Some(keeper));
    }

    fn part_with(&self, key: Key, orphan: Box<dyn Orphan>, keeper: Option<Box<dyn Orphan>>) {
        let mut core = self.core.borrow_mut();
        if core.state(key).in_flight() {
            let waker = core.abandon(key, orphan, keeper);
            drop(core);
            drop(waker);
        } else {
            let state = core.free(key);
            drop(core);
            state.into_abandoned(orphan).settle();
        }
    }

    /// Leaves nothing of an operation that points to no memory and whose outcome means nothing any more;
    /// the kernel is asked to end it.
    pub(crate) fn discard(&self, key: Key) {
        let state = self.core.borrow_mut().discard(key);
        drop(state);
    }

    /// Takes the oldest completion of a multishot operation, if there is one.
    pub(crate) fn try_next(&self, key: Key) -> Option<Completion> {
        let mut core = self.core.borrow_mut();
        if core.has_next(key) { core.take_next(key).flatten() } else { None }
    }

    /// Frees the slot of a multishot operation whose last completion has been taken.
    pub(crate) fn free_ended(&self, key: Key) {
        let state = self.core.borrow_mut().free(key);
        drop(state);
    }

    /// Asks the kernel to end an operation whose future stays to take what it brings.
    pub(crate) fn cancel(&self, key: Key) {
        self.core.borrow_mut().cancel(key);
    }

    /// Whether an operation may be done by a system call now instead of an entry.
    pub(crate) fn may_run_inline(&self) -> bool {
        !self.inline.is_spent() && self.allows(Bypass::Inline) && !self.is_closing()
    }

    /// Whether nothing has been done in this turn yet, by an entry or past the ring.
    pub(crate) fn is_first_of_turn(&self) -> bool {
        self.inline.is_untouched() && self.core.borrow_mut().is_queue_empty()
    }

    /// Counts an operation that was done by a system call.
    pub(crate) fn note_inline_call(&self, bytes: usize) {
        self.inline.spend(bytes);
    }

    /// Whether so much has been done past the ring that the turn should end.
    pub(crate) fn is_turn_spent(&self) -> bool {
        self.inline.is_spent()
    }

    /// One turn: submit, wait if `may_wait` and nothing is at hand, collect, wake.
    pub(crate) fn turn(&self, may_wait: bool) {
        self.inline.refill();
        let picked = self.core.borrow_mut().take_provided_count();
        self.buffers.collect(picked);
        let wait = if may_wait { self.longest_wait() } else { Wait::No };
        let has_brought = self.core.borrow_mut().turn(wait);
        if may_wait && !has_brought && self.clock.may_jump() {
            self.jump();
        }
        self.fire_timers(self.timers_a_turn);
        self.run_aftermath();
        if self.core.borrow().has_report() {
            self.report_incident();
        }
        if self.trimming.is_due() {
            self.trim();
        }
    }

    /// Gives memory back that was needed at a peak.
    fn trim(&self) {
        self.core.borrow_mut().trim();
        self.wheel.borrow_mut().trim();
        self.buffers.trim();
        let mut wakers = self.spare_wakers.take();
        trim(&mut wakers);
        self.spare_wakers.set(wakers);
    }

    #[cold]
    fn report_incident(&self) {
        let report = self.core.borrow_mut().take_report();
        if let Some(incident) = report {
            (self.incidents)(&incident);
        }
    }

    /// Wakes what was recorded and settles what came too late. Runs foreign code.
    pub(crate) fn run_aftermath(&self) {
        let mut wakers = self.spare_wakers.take();
        let settling = self.core.borrow_mut().take_aftermath(&mut wakers);
        for abandoned in settling {
            self.report_panic(catch_panic(|| abandoned.settle()));
        }
        for waker in wakers.drain(..) {
            self.report_panic(waker.wake_catching_panic());
        }
        self.spare_wakers.set(wakers);
    }

    /// Foreign code has panicked, if there is a message: that becomes an incident.
    fn report_panic(&self, message: Option<String>) {
        if let Some(message) = message {
            (self.incidents)(&Incident::CallbackPanicked { message });
        }
    }

    /// Counts a receive that goes on by itself.
    pub(crate) fn note_multishot_receive(&self) {
        self.multishot_receives.set(self.multishot_receives.get() + 1);
    }

    /// Counts a send without a copy.
    pub(crate) fn note_zero_copy(&self) {
        self.zero_copy_sends.set(self.zero_copy_sends.get() + 1);
    }

    /// Counts a send that waits for room.
    pub(crate) fn note_send_stall(&self) {
        self.send_stalls.set(self.send_stalls.get() + 1);
    }

    /// Where what nobody would hear of goes.
    pub(crate) fn incidents(&self) -> &IncidentHook {
        &self.incidents
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let mut metrics = self.core.borrow_mut().metrics();
        metrics.timers = self.wheel.borrow().len();
        metrics.inline_calls = self.inline.count();
        metrics.provided_buffers_in_use = self.buffers.small_in_use();
        metrics.buffer_misses = self.buffers.misses();
        metrics.fallback_buffer_bytes = self.buffers.own_bytes();
        metrics.direct_descriptors = self.file_slots_taken.get();
        metrics.direct_descriptor_misses = self.file_slot_misses.get();
        metrics.multishot_receives = self.multishot_receives.get();
        metrics.zero_copy_sends = self.zero_copy_sends.get();
        metrics.send_stalls = self.send_stalls.get();
        self.accepts.fill(&mut metrics);
        metrics
    }
}
