//! The user data of SQEs.
//!
//! An SQE of an operation carries the index of its slot and the slot's generation, so that a late
//! completion or cancel can never hit the slot's next tenant. Indices that no slot has name SQEs of
//! the driver's own.

/// The name of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Set in the index of an SQE that cancels the operation of that name.
const CANCEL: u32 = 1 << 31;

impl Key {
    /// The poll that reports the bell.
    pub(super) const BELL: Self = Self { index: CANCEL - 1, generation: 0 };
    /// SQEs whose completion means nothing.
    pub(super) const UNATTENDED: Self = Self { index: CANCEL - 2, generation: 0 };
    /// The name of nothing.
    pub(crate) const NONE: Self = Self::UNATTENDED;
    /// Slots have indices below this. It is the index of SQEs that close a file slot, whose number
    /// is in the place of the generation.
    pub(super) const SLOTS: u32 = CANCEL - 3;

    /// The name of the SQE that cancels this one.
    pub(super) fn to_cancel(self) -> Self {
        Self { index: self.index | CANCEL, ..self }
    }

    /// Which operation the SQE of this name cancels, if it cancels one.
    pub(super) fn cancelled(self) -> Option<Self> {
        (self.index & CANCEL != 0).then_some(Self { index: self.index & !CANCEL, ..self })
    }

    /// The name of the SQE that closes a file slot.
    pub(super) fn to_close(file_slot: u32) -> Self {
        Self { index: Self::SLOTS, generation: file_slot }
    }

    /// Which file slot the SQE of this name closes, if it closes one.
    pub(super) fn closed_file_slot(self) -> Option<u32> {
        (self.index == Self::SLOTS).then_some(self.generation)
    }

    pub(super) fn user_data(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(super) fn from_user_data(user_data: u64) -> Self {
        Self { index: user_data as u32, generation: (user_data >> 32) as u32 }
    }
}
