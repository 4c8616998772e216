//! Waiting for a child of this process.
//!
//! The kernel says when a child has ended ([`WaitChild`]), and takes nothing: the SQE is a waitid
//! with `WNOWAIT` (Linux 6.7), or the poll of a pidfd. One function takes the status, by a call
//! that does not wait ([`ChildProcess::try_status`]), and keeps it. So any number of waits agree, a
//! wait that is dropped has changed nothing, and a status is neither lost nor taken twice.
//!
//! A child of which no status is wanted any more is waited for by a detached operation ([`reap`]),
//! which leaves no zombie. What that cannot wait for, because its runtime ends, is left to the next
//! runtime of the process that starts a child.

mod child;
mod reap;
mod wait;

pub(crate) use child::ChildProcess;
pub(crate) use reap::{reap_child, reap_left_children};
pub(crate) use wait::WaitChild;
