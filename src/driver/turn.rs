//! One turn of the driver: submit, wait, collect, wake.
//!
//! [`Driver::turn`] enters the kernel at most once: it submits what the tasks have pushed, waits if
//! it may, and collects completions. Reaping and firing timers only *record*: wakers, and results
//! that came too late for their futures, are put on lists. The lists are worked off when nothing
//! is borrowed any more ([`Driver::run_aftermath`]), so foreign code (a waker, the destructor of a
//! buffer) may call back into the driver at will, and a panic in it finds nothing half done.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use super::Driver;
use super::slot::Late;
use super::trimming::trim;
use crate::error::{Incident, catch_panic};
use crate::sys::Wait;

impl Driver {
    /// One turn: submits, waits if `may_wait` and nothing is pending, collects, wakes.
    #[inline]
    pub(crate) fn turn(&self, may_wait: bool) {
        let wait = if may_wait { self.longest_wait() } else { Wait::No };
        self.turn_for(wait, may_wait);
    }

    /// [`turn`](Self::turn) of a runtime that has nothing else to do, and waits no longer than
    /// `limit`. What waits between the turns, if anything, is another event loop.
    pub(crate) fn turn_within(&self, limit: Option<Duration>) {
        // Without a wait of its own it is not asked how long, which a paused clock would note.
        let wait = if limit == Some(Duration::ZERO) {
            Wait::No
        } else {
            self.longest_wait().within(limit)
        };
        self.turn_for(wait, true);
    }

    /// How long another event loop may wait before the next turn; `None` if for ever.
    pub(crate) fn time_until_due(&self) -> Option<Duration> {
        match self.longest_wait() {
            Wait::No => Some(Duration::ZERO),
            Wait::AtMost(time) | Wait::ForOne(time) => Some(time),
            Wait::Forever => None,
        }
    }

    /// Whether the next turn has something to do already, apart from timers.
    pub(crate) fn is_pending(&self) -> bool {
        self.has_staged() || self.core.borrow_mut().is_pending()
    }

    /// Has the kernel signal `counter` whenever the next turn has something to collect. What it
    /// signals shows in [`is_pending`](Self::is_pending) before. Once. Returns what to watch
    /// instead of the counter, if that alone does not tell.
    pub(crate) fn signal_by(&self, counter: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        let mut core = self.core.borrow_mut();
        core.ring().expect("the ring is open until the runtime ends").signal_by(counter)
    }

    /// Waits as told unless something is pending. Then, if `is_idle`, a paused clock may jump.
    #[inline]
    fn turn_for(&self, wait: Wait, is_idle: bool) {
        self.inline.refill();
        let provided = self.core.borrow_mut().slots.take_provided_count();
        self.buffers.collect(provided);
        let is_pending = self.core.borrow_mut().turn(wait);
        if is_idle && !is_pending {
            self.timers.jump();
        }
        self.fire_timers(self.settings.max_timers_per_turn);
        self.run_aftermath();
        if self.core.borrow().refusals.is_due() {
            self.report_refusals();
        }
        if self.trimming.is_due() {
            self.trim();
        }
    }

    #[inline]
    fn longest_wait(&self) -> Wait {
        let is_in_flight = self.core.borrow().slots.attended() > 0;
        self.timers.longest_wait(is_in_flight)
    }

    #[inline]
    fn fire_timers(&self, limit: usize) {
        self.timers.fire(limit, |waker| self.core.borrow_mut().slots.record_wake(waker));
    }

    /// Moves a paused clock, and wakes all whose deadlines have come by that, however many. Runs
    /// foreign code.
    pub(crate) fn advance_clock(&self, duration: Duration) {
        self.timers.advance_clock(duration);
        self.fire_timers(usize::MAX);
        self.run_aftermath();
    }

    /// Gives memory back that was needed at a peak.
    fn trim(&self) {
        self.core.borrow_mut().trim();
        self.timers.trim();
        self.buffers.trim();
        self.staged.trim();
        self.spare_buffers.trim();
        let mut wakers = self.spare_wakers.take();
        trim(&mut wakers);
        self.spare_wakers.set(wakers);
    }

    #[cold]
    fn report_refusals(&self) {
        let report = self.core.borrow_mut().refusals.take_report();
        if let Some(incident) = report {
            (self.incidents)(&incident);
        }
    }

    /// Wakes what was recorded and settles what came too late. Runs foreign code.
    #[inline]
    pub(crate) fn run_aftermath(&self) {
        let mut wakers = self.spare_wakers.take();
        let settling = self.core.borrow_mut().slots.take_aftermath(&mut wakers);
        if !settling.is_empty() {
            self.settle(settling);
        }
        for waker in wakers.drain(..) {
            self.report_panic(waker.wake_catching_panic());
        }
        self.spare_wakers.set(wakers);
    }

    fn settle(&self, mut settling: Vec<Late>) {
        for late in settling.drain(..) {
            self.report_panic(catch_panic(|| late.settle()));
        }
        self.core.borrow_mut().slots.reuse_settled(settling);
    }

    /// Whether anything is staged.
    #[inline]
    pub(crate) fn has_staged(&self) -> bool {
        self.staged.is_any()
    }

    /// Submits what is staged. Runs foreign code, which may stage more: the next round submits
    /// that. There is no endless round, as inline calls, after which a waker runs at once, have a
    /// budget.
    #[inline(never)]
    pub(crate) fn submit_staged(&self) {
        while let Some(mut list) = self.staged.take() {
            let is_only = list.len() == 1;
            for owner in list.drain(..) {
                self.report_panic(catch_panic(|| owner.submit_staged(is_only)));
            }
            self.staged.reuse(list);
        }
    }

    /// If foreign code has panicked, there is a message: that becomes an incident.
    #[inline]
    pub(crate) fn report_panic(&self, message: Option<String>) {
        if let Some(message) = message {
            (self.incidents)(&Incident::CallbackPanicked { message });
        }
    }
}
