//! How a driver is configured.

use super::buffers::BufferSizes;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How many timers may fire in one turn: no more than tasks may run, or the woken ones would
    /// pile up in front of the tasks that wait for the kernel.
    pub(crate) max_timers_per_turn: usize,
    pub(crate) buffers: BufferSizes,
    /// How many file slots the ring has; none if it has no table of files.
    pub(crate) file_slots: u32,
    pub(crate) is_clock_paused: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_timers_per_turn: 128,
            buffers: BufferSizes::default(),
            file_slots: 0,
            is_clock_paused: false,
        }
    }
}
