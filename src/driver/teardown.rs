//! Teardown: no ring is closed over an operation that the kernel still works on.

use std::time::{Duration, Instant};

use super::Driver;
use crate::error::Incident;
use crate::sys::{Ring, Wait, later};

/// How long one wait for cancelled operations lasts before they are cancelled again.
const ROUND: Duration = Duration::from_millis(50);

impl<R: Ring> Driver<R> {
    /// Cancels everything and closes the ring once the kernel has let go. After `patience` it
    /// closes it all the same: what the kernel may still touch is then leaked, and reported.
    pub(crate) fn close(&self, patience: Duration) {
        self.flight.borrow_mut().refuse();
        let deadline = later(Instant::now(), patience);
        let mut left = patience;
        while self.flight.borrow().in_flight() > 0 {
            // Without patience, too, the kernel is asked once: most operations end when they are
            // cancelled, and that is seen without waiting.
            self.cancel_round(left.min(ROUND));
            left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.flight.borrow().is_broken() {
                break;
            }
        }
        // Entries that nobody may ask about (the bell's, cancels) use no memory that is leaked.
        let count = self.flight.borrow().attended();
        if count > 0 {
            (self.incidents)(&Incident::OperationsLeaked { count });
        }
        self.run_aftermath();
        self.close_registered();
        self.flight.borrow_mut().shut();
    }

    /// Takes the buffers back from the kernel, and closes what stands in its table. If it may still use
    /// them they stay its own.
    fn close_registered(&self) {
        let mut flight = self.flight.borrow_mut();
        let is_free = flight.attended() == 0;
        if let Some(ring) = flight.ring().filter(|_| is_free) {
            self.leases.release(ring);
            ring.release_table();
        }
    }

    /// Cancels what is in flight and waits a while for it to end. When the time is up it goes on as long
    /// as something ends without waiting.
    fn cancel_round(&self, limit: Duration) {
        self.flight.borrow_mut().cancel_everything(self.capabilities.cancel_any);
        let end = later(Instant::now(), limit);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Not for a batch: there may never be so many completions.
            let wait = if left.is_zero() { Wait::No } else { Wait::ForOne(left) };
            let before = self.flight.borrow().in_flight();
            self.flight.borrow_mut().turn(wait);
            self.run_aftermath();
            let flight = self.flight.borrow();
            let is_over = left.is_zero() && flight.in_flight() >= before;
            if flight.in_flight() == 0 || flight.is_broken() || is_over {
                return;
            }
        }
    }
}
