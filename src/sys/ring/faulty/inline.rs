//! Inline calls that are not made: what they would do goes through the ring.

use std::cell::Cell;

use super::dice::Dice;
use super::faults::FaultKind;

pub(crate) struct InlineFaults {
    dice: Dice,
    calls: Cell<u64>,
}

impl InlineFaults {
    pub(super) fn new(dice: Dice) -> Self {
        Self { dice, calls: Cell::new(0) }
    }

    /// Whether the next call is not made.
    pub(crate) fn withholds(&self) -> bool {
        self.calls.set(self.calls.get() + 1);
        self.dice.falls(FaultKind::NoInlineCalls, self.calls.get())
    }
}
