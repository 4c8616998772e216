//! An enter's wait, and when an enter is worth it.
//!
//! Whether a descriptor is ready only a system call tells, unlike the kernel's ring, which says in
//! shared memory that something has completed. So while tasks keep the loop busy, an enter is due
//! every few turns, and every enter looks at the descriptors once.

use std::io;
use std::time::Duration;

use super::PortableRing;
use super::epoll::{TIMER, WORKERS_BELL};
use super::timeouts::time_after;
use crate::sys::Wait;
use crate::sys::clock::monotonic_nanos;
use crate::sys::errno::{EINTR, ETIME};

/// How many turns may pass without a look at the descriptors.
const MOST_TURNS: u32 = 8;

impl PortableRing {
    /// Whether an enter would find something, or is due as none has looked for a while.
    #[inline]
    pub(in crate::sys::ring) fn has_deferred(&mut self) -> bool {
        if !self.generation.is_present() {
            return false;
        }
        if !self.completions.is_empty() || !self.deferred.is_empty() || self.workers.has_finished()
        {
            return true;
        }
        if self.requests.is_empty() {
            return false;
        }
        if self.outer.is_some() {
            return self.is_readable();
        }
        self.turns += 1;
        self.turns >= MOST_TURNS
    }

    /// Waits as told, and completes what has come.
    pub(super) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        self.collect_jobs();
        if wait == Wait::No && self.requests.is_empty() {
            return Ok(());
        }
        self.turns = 0;
        let end = match wait {
            Wait::No => None,
            Wait::AtMost(limit) | Wait::ForOne(limit) => Some(time_after(nanos(limit))),
            Wait::Forever => None,
        };
        loop {
            let is_satisfied =
                wait == Wait::No || !self.completions.is_empty() || !self.deferred.is_empty();
            let limit = if is_satisfied { Some(Duration::ZERO) } else { self.longest_wait(end) };
            let looked = self.look(limit);
            self.fire_timeouts();
            self.collect_jobs();
            match looked {
                // Then it would never look again.
                Err(error) if error.raw_os_error() != Some(EINTR) => return Err(error),
                _ if is_satisfied || !self.completions.is_empty() => return Ok(()),
                outcome => outcome?,
            }
            if end.is_some_and(|end| end <= monotonic_nanos()) {
                return Err(io::Error::from_raw_os_error(ETIME));
            }
        }
    }

    /// How long a wait may last that ends at this time.
    fn longest_wait(&self, end: Option<u64>) -> Option<Duration> {
        let next = [end, self.timeouts.next()].into_iter().flatten().min()?;
        Some(Duration::from_nanos(next.saturating_sub(monotonic_nanos())))
    }

    /// Waits for descriptors, and makes attempts at what waits for those that are ready.
    ///
    /// # Errors
    ///
    /// `EINTR`; others if the process has closed the epoll instance, or a seccomp filter of its own
    /// refuses the call.
    fn look(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let sleeps = limit != Some(Duration::ZERO);
        let bound = if sleeps { self.workers.prepare_sleep() } else { None };
        let limit = [limit, bound].into_iter().flatten().min();
        let outcome = self.epoll.wait(limit);
        if sleeps {
            self.workers.end_sleep();
        }
        for nth in 0..outcome? {
            let event = self.epoll.event(nth);
            // The bell and the timer have done their duty by ending the wait.
            if ![WORKERS_BELL, TIMER].contains(&event.data) {
                self.report(event);
            }
        }
        self.run();
        Ok(())
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
