//! Operations on paths.
//!
//! The kernel carries them out on its workers, except an open whose directories are cached. A
//! cancel interrupts a worker that waits, but what a worker has begun it may well finish: a dropped
//! operation may have happened. The kernel copies paths when it takes the SQE, and writes the
//! answer of a statx when it has it; the operation keeps both until the completion.

mod change;
mod open_within;
mod stat;

pub(crate) use change::Change;
pub(crate) use open_within::OpenWithin;
pub(crate) use stat::Stat;
