//! Chains: several operations on a file in one submission, one after the other.
//!
//! The kernel begins each operation as soon as the one before it has succeeded, without a round
//! through this process. That saves a wake-up, and the second half of what a durable write costs:
//!
//! - [`File::write_at`](super::File::write_at), [`write_all_at`](super::File::write_all_at) and
//!   [`append`](super::File::append) take a [`then_sync_data`](Write::then_sync_data) or
//!   [`then_sync_all`](Write::then_sync_all), and stay one future with one result. Where many tasks
//!   write to one file at the same time, they share synchronisations instead;
//! - [`File::chain`](super::File::chain) links up to eight operations, and returns the result of
//!   each;
//! - [`Chain::open`] opens a file for its chain, which closes it at its end.
//!
//! # What severs a chain
//!
//! An operation that fails, or transfers fewer bytes than its buffer has: a write to a full disk, a
//! read at the end of the file. What follows is not begun, and its result is an error with
//! [`NotRun`] inside, beside its buffer. Operations that transfer all of their buffer
//! ([`write_all_at`](Chain::write_all_at), [`append`](Chain::append),
//! [`read_exact_at`](Chain::read_exact_at)) go on with the rest after a short transfer, and so does
//! the chain behind them.
//!
//! Behind a synchronisation the kernel would go on even if that failed. So what follows one is a
//! submission of its own, once the synchronisation has succeeded; a close, which is carried out in
//! any case, is not. A chain costs least if it synchronises at its end.
//!
//! A chain is no transaction: what has been done before it was severed stays done.
//!
//! # Cancel safety
//!
//! A chain whose future is dropped before its first poll does nothing. After that, each operation
//! may be carried out in full, in part or not at all, but none unless all before it were. The
//! kernel keeps the buffers until then. Later operations on the file
//! [wait for dropped writes](super::File#dropped-writes), also for those that the kernel has not
//! begun.

mod builder;
mod then_sync;

pub use crate::op::{
    CloseLink, Links, NotRun, OpenLink, Part, Push, ReadExactLink, ReadExactVectoredLink, ReadLink,
    ReadVectoredLink, Reason, SyncLink, WriteAllLink, WriteAllVectoredLink, WriteLink,
    WriteVectoredLink,
};
pub use builder::{Chain, Opens, Shared};
pub(super) use then_sync::Writing;
pub use then_sync::{ThenSync, Write, WriteAll};
