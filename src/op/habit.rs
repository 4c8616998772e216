//! What a connection is used to bring, and so how the next receive on lease is done best.
//!
//! | habit  | what came                                        | the next receive                         |
//! |--------|--------------------------------------------------|------------------------------------------|
//! | little | a small message, and no more behind it           | an entry, for which the kernel picks a small buffer |
//! | much   | 8 KiB and more, or a small buffer was not enough | an entry that waits for readiness; then a call, into a large buffer that is in the cache |
//!
//! When it has been little several times the receive goes on by itself (`inflow`).
//!
//! Much is better received when its task has its turn, and sent on at once: the kernel would receive
//! for many sockets in one go, and the first would have left the cache before its task runs. Little
//! is better received by the kernel, which saves the call.

/// From how many bytes at a time on a socket brings much.
const MUCH: usize = 8 * 1024;

/// From how many on it goes on to.
const STILL_MUCH: usize = MUCH / 2;

/// How many small messages in a row make it worth while to receive without being asked. Short
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

    /// What it is after a receive of `count` bytes, which had room for so many.
    pub(super) fn after(self, count: usize, room: usize) -> Self {
        let was_filled = count == room;
        let enough = if self.is_much() { STILL_MUCH } else { MUCH };
        let amount = if count >= enough.min(room) { Amount::Much } else { Amount::Little };
        if amount == self.amount {
            Self { times: self.times.saturating_add(1), was_filled, ..self }
        } else if amount == Amount::Little && self.was_filled {
            // The rest of a message that had not fitted is not a message.
            Self { was_filled, ..self }
        } else {
            Self { amount, times: 0, was_filled }
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
    fn the_rest_of_a_large_message_counts_for_nothing() {
        let much = Habit::default().after(LARGE, LARGE);
        let rest = much.after(64, LARGE);
        assert!(rest.is_much());
        assert_eq!(rest.after(64, LARGE), Habit::default());
    }
}
