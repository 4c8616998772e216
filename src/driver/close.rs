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
        while self.flight.borrow().in_flight() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.flight.borrow().is_broken() {
                let count = self.flight.borrow().in_flight();
                (self.incidents)(&Incident::OperationsLeaked { count });
                break;
            }
            self.cancel_round(left.min(ROUND));
        }
        self.run_aftermath();
        self.close_registered();
        self.flight.borrow_mut().shut();
    }

    /// Takes the buffers back from the kernel, and closes what stands in its table. If it may still use
    /// them they stay its own.
    fn close_registered(&self) {
        let mut flight = self.flight.borrow_mut();
        let is_free = flight.in_flight() == 0;
        if let Some(ring) = flight.ring().filter(|_| is_free) {
            self.leases.release(ring);
            ring.release_table();
        }
    }

    /// Cancels what is in flight and waits a while for it to end.
    fn cancel_round(&self, limit: Duration) {
        self.flight.borrow_mut().cancel_everything(self.capabilities.cancel_any);
        let end = later(Instant::now(), limit);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let flight = self.flight.borrow();
            if flight.in_flight() == 0 || flight.is_broken() || left.is_zero() {
                return;
            }
            drop(flight);
            self.flight.borrow_mut().turn(Wait::AtMost(left));
            self.run_aftermath();
        }
    }
}
