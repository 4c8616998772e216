//! Chains: operations that the kernel carries out one after the other, from one submission.
//!
//! A chain saves the rounds between its operations: the kernel begins each as soon as the one
//! before has completed (`uring-sys-tests`, linked_run_in_order), on the same worker if it is on
//! one. Each operation, a *link*, has its SQE, its slot and its completion, and is what it would be
//! alone: [`Linked`] holds an [`Operation`](super::operation::Operation) that is also a [`Link`].
//!
//! # Severing
//!
//! A link that fails, or transfers less than it was to, severs the chain: the kernel completes the
//! rest with `ECANCELED`, without having begun it (failing_link_cancels_rest, short_write_severs,
//! short_file_read_severs). Those links report [`NotRun`]. Behind some operations that fail the
//! kernel goes on all the same (failed_sync_keeps_chain), so nothing is linked to these.
//!
//! A chain that opens its file ends with a close, which is carried out all the same. Where it
//! follows a link that has just one step, that is a hard link (hardlink_survives_failure); where
//! more is between, the kernel cancels it with the rest, and it is submitted once more.
//!
//! # Parts
//!
//! [`ChainOp`] submits as many links as it can at once, mostly all, and the others when these have
//! completed. It is a new part
//!
//! - after a step that a signal has interrupted, or which has more to transfer: its next step is
//!   the head of the new part;
//! - behind a link that has more to transfer than one SQE can;
//! - behind a link whose failure does not sever (`sys::severing`), as a synchronisation: its
//!   success is awaited here. A close that is carried out in any case goes with it;
//! - where the submission queue has room for no more;
//! - if the kernel has not taken the chain as a whole (`driver::chains`), so that it was not
//!   ordered: then links that may be repeated are, and others fail.
//!
//! # A dropped chain
//!
//! Each link in flight becomes an orphan, with its memory. The first is cancelled, which severs the
//! chain if it is in time. A link that the kernel has not begun cannot be cancelled, since the
//! kernel does not find it. So when an orphaned link completes and the chain goes on, the next is
//! cancelled. Transfers of files are not stopped by that; then all of the chain is carried out.
//!
//! No `IOSQE_IO_DRAIN` is used: it would hold back every SQE of the ring.

mod future;
mod link;
mod links;
mod not_run;

pub(crate) use future::{AfterShort, ChainOp};
pub(crate) use link::{AnyLink, Link, Linked};
pub(crate) use links::AnyPart;
pub use links::{Links, Part, Push};
pub use not_run::{NotRun, Reason};
