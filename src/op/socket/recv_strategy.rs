//! What is learnt from the messages of a socket: whether they are bulk or small, and how often in a
//! row.
//!
//! A message is bulk from [`BULK_THRESHOLD`] on, or if it filled a smaller buffer. What follows
//! from that for the next receive is decided by `next_recv`.

/// How many bytes make a message bulk.
const BULK_THRESHOLD: usize = 8 * 1024;

/// How many bytes keep a socket at bulk.
const STILL_BULK: usize = BULK_THRESHOLD / 2;

/// How many small messages in a row make a multishot receive worthwhile. Short connections are
/// closed before that.
const MULTISHOT_AFTER: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecvStrategy {
    traffic: Traffic,
    /// How many messages in a row have been like that.
    in_a_row: u8,
    /// Whether the last receive may not have taken all data that was available.
    was_filled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traffic {
    Small,
    Bulk,
}

impl Default for RecvStrategy {
    /// Nothing has been received yet.
    fn default() -> Self {
        Self { traffic: Traffic::Small, in_a_row: 0, was_filled: false }
    }
}

impl RecvStrategy {
    pub(super) fn is_bulk(self) -> bool {
        self.traffic == Traffic::Bulk
    }

    /// Whether small messages have come often enough for a multishot receive.
    pub(super) fn prefers_multishot(self) -> bool {
        self.traffic == Traffic::Small && self.in_a_row >= MULTISHOT_AFTER
    }

    /// The strategy after a receive of `count` bytes, which had room for `room`.
    pub(super) fn after(self, count: usize, room: usize) -> Self {
        let was_filled = count == room;
        let threshold = if self.is_bulk() { STILL_BULK } else { BULK_THRESHOLD };
        let traffic = if count >= threshold.min(room) { Traffic::Bulk } else { Traffic::Small };
        if traffic == self.traffic {
            Self { in_a_row: self.in_a_row.saturating_add(1), was_filled, ..self }
        } else if traffic == Traffic::Small && self.was_filled {
            // The rest of a message that had not fitted is not a message.
            Self { was_filled, ..self }
        } else {
            Self { traffic, in_a_row: 0, was_filled }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 4096;
    const LARGE: usize = 65_536;

    #[test]
    fn small_messages_in_a_row_prefer_multishot_until_a_large_one_comes() {
        let mut strategy = RecvStrategy::default();
        for _ in 0..MULTISHOT_AFTER {
            assert!(!strategy.prefers_multishot());
            strategy = strategy.after(64, SMALL);
        }
        assert!(strategy.prefers_multishot());
        strategy = strategy.after(SMALL, SMALL);
        assert!(strategy.is_bulk(), "a small buffer was filled");
        strategy = strategy.after(10_000, LARGE);
        assert!(strategy.is_bulk());
        strategy = strategy.after(64, LARGE);
        assert_eq!(strategy, RecvStrategy::default());
        assert!(strategy.after(BULK_THRESHOLD, LARGE).is_bulk());
    }

    #[test]
    fn the_rest_of_a_large_message_counts_for_nothing() {
        let bulk = RecvStrategy::default().after(LARGE, LARGE);
        let rest = bulk.after(64, LARGE);
        assert!(rest.is_bulk());
        assert_eq!(rest.after(64, LARGE), RecvStrategy::default());
    }
}
