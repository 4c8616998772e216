//! What a connection is used to bring, and so how the next receive on lease is done best.
//!
//! | habit  | what came                                        | the next receive                         |
//! |--------|--------------------------------------------------|------------------------------------------|
//! | little | a small message, and no more behind it           | an entry, for which the kernel picks a small buffer |
//! | much   | 8 KiB and more, or a small buffer was not enough | an entry that waits for readiness; then a call, into a large buffer that is in the cache |
//!
//! When a habit has held for several messages the entry goes on by itself, be it for bytes (`inflow`) or
//! for readiness (`watch`).
//!
//! Much is better received when its task has its turn, and sent on at once: the kernel would receive
//! for many sockets in one go, and the first would have left the cache before its task runs. Little
//! is better received by the kernel, which saves the call.

/// From how many bytes at a time on a socket brings much.
const MUCH: usize = 8 * 1024;

/// From how many on it goes on to.
const STILL_MUCH: usize = MUCH / 2;

/// How many messages of a kind in a row make an entry worth while that goes on by itself. Short
/// connections are closed before that.
const OFTEN: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Habit {
    amount: Amount,
    /// How many messages in a row have been of that amount.
    times: u8,
    /// Whether the last receive may not have taken all that was there.
    was_filled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amount {
    Little,
    Much,
}

impl Default for Habit {
    /// Nothing has come yet.
    fn default() -> Self {
        Self { amount: Amount::Little, times: 0, was_filled: false }
    }
}

impl Habit {
    pub(super) fn is_much(self) -> bool {
        self.amount == Amount::Much
    }

    /// Whether small messages have come often enough to receive without being asked.
    pub(super) fn is_often_little(self) -> bool {
        self.amount == Amount::Little && self.times >= OFTEN
    }

    /// Whether large ones have come often enough to hear of all that comes.
    pub(super) fn is_often_much(self) -> bool {
        self.is_much() && self.times >= OFTEN
    }

    /// What it is after a receive of `count` bytes, which had room for so many.
    pub(super) fn after(self, count: usize, room: usize) -> Self {
        let was_filled = count == room;
        let enough = if self.is_much() { STILL_MUCH } else { MUCH };
        let amount = if count >= enough.min(room) { Amount::Much } else { Amount::Little };
        // The rest of a message that had not fitted is not a message.
        let is_rest = self.was_filled;
        match (self.amount == amount, is_rest) {
            (true, false) => Self { times: self.times.saturating_add(1), was_filled, ..self },
            (true, true) => Self { was_filled, ..self },
            (false, _) if amount == Amount::Much => Self { amount, times: 1, was_filled },
            (false, true) => Self { was_filled, ..self },
            (false, false) => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: usize = 4096;
    const LARGE: usize = 65_536;

    #[test]
    fn small_messages_in_a_row_are_received_without_being_asked_until_a_large_one_comes() {
        let mut habit = Habit::default();
        for _ in 0..OFTEN {
            assert!(!habit.is_often_little());
            habit = habit.after(64, SMALL);
        }
        assert!(habit.is_often_little());
        habit = habit.after(SMALL, SMALL);
        assert!(habit.is_much(), "a small buffer was filled");
        habit = habit.after(10_000, LARGE);
        assert!(habit.is_much());
        habit = habit.after(64, LARGE);
        assert_eq!(habit, Habit::default());
        assert!(habit.after(MUCH, LARGE).is_much());
    }

    #[test]
    fn large_messages_in_a_row_are_heard_of_without_being_asked_and_their_rests_count_for_nothing()
    {
        let mut habit = Habit::default();
        for _ in 0..OFTEN {
            assert!(!habit.is_often_much());
            habit = habit.after(LARGE, LARGE).after(LARGE - 1, LARGE);
        }
        assert!(habit.is_often_much());
        habit = habit.after(LARGE, LARGE);
        habit = habit.after(64, LARGE);
        assert!(habit.is_often_much(), "it was the rest of a large one");
        assert!(!habit.after(64, LARGE).is_much());
    }
}
