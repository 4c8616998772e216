//! What a connection is used to bring, and so how the next receive on lease is done best.
//!
//! | habit  | what came                                     | the next receive                         |
//! |--------|-----------------------------------------------|------------------------------------------|
//! | little | a small message, and no more behind it        | an entry, for which the kernel picks a small buffer |
//! | little, several times | and again                      | one entry that goes on by itself (`inflow`) |
//! | much   | 8 KiB and more, or a small buffer was not enough | an entry that waits for readiness; then a call, into a large buffer that is in the cache |
//!
//! Much is better received when its task has its turn, and sent on at once: the kernel would receive
//! for many sockets in one go, and the first would have left the cache before its task runs. Little
//! is better received by the kernel, which saves the call.

/// From how many bytes at a time on a socket brings much.
const MUCH: usize = 8 * 1024;

/// How many small messages in a row make it worth while to receive without being asked. Short
/// connections are closed before that.
const OFTEN: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// So many small messages have come in a row.
    Little(u8),
    Much,
}

impl Default for Habit {
    /// Nothing has come yet.
    fn default() -> Self {
        Self::Little(0)
    }
}

impl Habit {
    pub(super) fn is_much(self) -> bool {
        self == Self::Much
    }

    /// Whether small messages have come often enough to receive without being asked.
    pub(super) fn is_often_little(self) -> bool {
        matches!(self, Self::Little(times) if times >= OFTEN)
    }

    /// What it is after a receive of `count` bytes, which had room for so many.
    pub(super) fn after(self, count: usize, room: usize) -> Self {
        match self {
            _ if count >= MUCH.min(room) => Self::Much,
            Self::Little(times) => Self::Little(times.saturating_add(1)),
            Self::Much => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_in_a_row_are_received_without_being_asked_until_a_large_one_comes() {
        let mut habit = Habit::default();
        for _ in 0..OFTEN {
            assert!(!habit.is_often_little());
            habit = habit.after(64, 4096);
        }
        assert!(habit.is_often_little());
        habit = habit.after(4096, 4096);
        assert!(habit.is_much(), "a small buffer was filled");
        habit = habit.after(4096, 65_536);
        assert_eq!(habit, Habit::default());
        assert!(habit.after(MUCH, 65_536).is_much());
    }
}
