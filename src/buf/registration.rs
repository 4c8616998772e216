//! What makes a buffer more than an address to a ring.

/// What an SQE may name beside the address of a registered buffer.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// Identifies the ring; not the address of anything that is read.
    pub(crate) home: *const (),
    /// The index in the ring's table.
    pub(crate) index: u16,
}
