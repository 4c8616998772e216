//! Teardown: no ring is closed before the kernel has completed every operation, if it does in time.

use std::time::{Duration, Instant};

use super::Driver;
use crate::error::Incident;
use crate::sys::{Wait, saturating_deadline};

/// How long one wait for cancelled operations lasts before they are cancelled again.
const ROUND: Duration = Duration::from_millis(50);

impl Driver {
    /// Cancels everything and closes the ring once the kernel has completed it. After `patience` it
    /// closes the ring anyway: what the kernel may still access is then leaked, and reported.
    pub(crate) fn close(&self, patience: Duration) {
        // Destructors of tasks may have written: what is submitted before it is cancelled is sent,
        // as far as there is room.
        self.submit_staged();
        self.core.borrow_mut().refuse();
        let deadline = saturating_deadline(Instant::now(), patience);
        let mut left = patience;
        while self.core.borrow().slots.in_flight() > 0 {
            // Without patience, too, there is one round: most operations end when they are
            // cancelled, and that is seen without waiting.
            self.cancel_round(left.min(ROUND));
            left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.core.borrow().is_broken() {
                break;
            }
        }
        // SQEs without a slot (the bell's, cancels) use no memory that is leaked.
        let count = self.core.borrow().slots.attended();
        if count > 0 {
            (self.incidents)(&Incident::OperationsLeaked { count });
        }
        self.run_aftermath();
        // What has been staged meanwhile fails.
        self.submit_staged();
        self.close_registered();
        self.core.borrow_mut().shut();
    }

    /// Takes the provided buffers back, and closes the table of files. If the kernel may still use
    /// them, they stay with it.
    fn close_registered(&self) {
        let mut core = self.core.borrow_mut();
        let is_free = core.slots.attended() == 0;
        if let Some(ring) = core.ring().filter(|_| is_free) {
            self.buffers.release(ring);
            ring.release_file_table();
        }
    }

    /// Cancels what is in flight and waits for it to end, no longer than `limit`; then goes on as
    /// long as something ends without waiting.
    fn cancel_round(&self, limit: Duration) {
        self.core.borrow_mut().cancel_everything(self.capabilities.cancel_any);
        let end = saturating_deadline(Instant::now(), limit);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Not for a batch: fewer operations may be left than a batch has.
            let wait = if left.is_zero() { Wait::No } else { Wait::ForOne(left) };
            let before = self.core.borrow().slots.in_flight();
            self.core.borrow_mut().turn(wait);
            self.run_aftermath();
            let core = self.core.borrow();
            let is_over = left.is_zero() && core.slots.in_flight() >= before;
            if core.slots.in_flight() == 0 || core.is_broken() || is_over {
                return;
            }
        }
    }
}
