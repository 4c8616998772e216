//! The ground floor: everything that talks to the kernel.
//!
//! This is the only module that uses the `io-uring` and `libc` crates. Above it, code speaks of
//! submissions, completions, descriptors and addresses:
//!
//! - [`Ring`] is the seam to a submission/completion queue pair; [`KernelRing`] is the kernel's.
//! - [`setup`] makes a ring, stepping down flag by flag, and turns a refusal into a diagnosis.
//! - [`probe`] finds out, once, what a kernel can do.
//! - [`socket`], [`address`] and [`eventfd`] are thin, safe wrappers around system calls that have
//!   no place in a ring: they never block. [`sigint`] hears of ctrl-c. [`nonblocking`] sends and
//!   receives without waiting.
//!
//! Operations write their entries with the builders in [`opcode`].

pub(crate) mod address;
mod buffer_ring;
pub(crate) mod bypass;
pub(crate) mod capabilities;
mod completion;
mod diagnose;
mod duration;
mod enter;
pub(crate) mod errno;
pub(crate) mod eventfd;
mod flags;
mod fork;
pub(crate) mod fs;
pub(crate) mod message;
mod pages;
pub(crate) mod poll;
pub(crate) mod probe;
mod ring;
pub(crate) mod setup;
pub(crate) mod sigint;
#[cfg(test)]
mod sqe;

pub(crate) use buffer_ring::BufferRing;
#[cfg(test)]
use buffer_ring::Provided;
pub(crate) use bypass::{nonblocking, socket, splice_pipe};
pub(crate) use completion::Completion;
pub(crate) use duration::{saturating_deadline, seconds, timespec};
pub(crate) use io_uring::squeue::{Entry as Submission, Flags as SubmissionFlags};
pub(crate) use io_uring::{opcode, types};
pub(crate) use pages::{Pages, page_size};
pub(crate) use ring::{BUFFER_GROUP, Batch, Entered, Full, KernelRing, Ring, Wait};
#[cfg(test)]
pub(crate) use ring::{NONEMPTY, NOTIFICATION, ScriptedRing};
#[cfg(test)]
pub(crate) use sqe::{Sqe, Target};
