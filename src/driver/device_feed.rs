//! When SQEs for a device are submitted before the end of a turn.
//!
//! A turn submits once, when its tasks have done what they can: an enter costs, and fewer are
//! cheaper. But a disk that reports many operations at once is idle from then on, and stays so
//! while the tasks handle all of the results, one after the other. So after a turn that has
//! collected several completions the first two SQEs for a device are submitted at once, and then
//! four, eight and so on: the device is at work while the rest is prepared, for a few enters more.
//!
//! This concerns what is on its way to a device (`Operation::feeds_device`), and no other SQEs:
//! they have no device that waits.

/// How many SQEs the first enter for their sake submits.
const FIRST: usize = 2;

/// Fewer SQEs are not worth another enter.
const LEAST: usize = 4;

/// What was submitted for a device in a turn.
#[derive(Default)]
pub(super) struct DeviceFeed {
    /// How many completions have been collected whose tasks have not queued another SQE for a
    /// device. Each may.
    expected: usize,
    /// How many SQEs for a device have been queued since the last enter for their sake.
    queued: usize,
    /// How many make the next enter.
    batch: usize,
}

impl DeviceFeed {
    /// A turn has collected this many completions.
    #[inline]
    pub(super) fn begin(&mut self, collected: usize) {
        *self = Self { expected: collected, queued: 0, batch: FIRST };
    }

    /// An SQE for a device is queued. Returns whether it is to be submitted now.
    pub(super) fn is_due(&mut self) -> bool {
        self.expected = self.expected.saturating_sub(1);
        self.queued += 1;
        if self.expected < LEAST || self.queued < self.batch {
            return false;
        }
        (self.queued, self.batch) = (0, 2 * self.batch);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the SQEs of a turn are the last of a batch.
    fn batches(collected: usize, queued: usize) -> Vec<usize> {
        let mut feed = DeviceFeed::default();
        feed.begin(collected);
        (1..=queued).filter(|_| feed.is_due()).collect()
    }

    #[test]
    fn a_device_gets_two_sqes_then_four_then_eight_and_the_rest_at_the_end_of_the_turn() {
        assert_eq!(batches(32, 32), [2, 6, 14]);
        assert_eq!(batches(16, 16), [2, 6]);
        assert_eq!(batches(6, 6), [2]);
    }

    #[test]
    fn a_few_sqes_for_a_device_are_submitted_at_the_end_of_the_turn() {
        assert_eq!(batches(5, 5), [0; 0]);
        assert_eq!(batches(1, 1), [0; 0]);
        // Tasks that have just begun.
        assert_eq!(batches(0, 100), [0; 0]);
    }
}
