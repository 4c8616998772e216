//! The ground floor: everything that talks to the kernel.
//!
//! This is the only module that uses the `io-uring` and `libc` crates. Above it, code speaks of
//! submissions, completions, descriptors and addresses:
//!
//! - `ring` is the seam to a submission/completion queue pair, [`Ring`]; [`KernelRing`] is the
//!   kernel's. `enter` makes its system calls, `buffer_ring` is the ring of provided buffers, and
//!   [`fork`] tells a forked child, which must not touch either.
//! - Operations write SQEs with the builders in [`opcode`]. `sqe` reads the fields of an SQE, for
//!   rings that interpret SQEs themselves.
//! - `completion` is one CQE: its result and its flags. [`severing`] says what ends a chain.
//! - [`bypass`] lists and holds the system calls that are made on sockets without the ring.
//! - [`capabilities`] → [`setup`] → [`probe`]: the features of a kernel, required and optional; a
//!   ring made with the best flags it takes (`flags`), or a diagnosis of its refusal (`diagnose`);
//!   and the public probe, which lists both.
//!   [`RingKind`] names the kernel's ring and the portable one, between which runtimes choose.
//! - [`datagram`] and [`control`] are the headers and control messages of datagrams.
//! - [`address`] converts socket addresses to and from the kernel's form.
//! - [`eventfd`] is the bell by which another thread ends a ring's wait.
//! - [`signals`] rings a bell when a signal has come.
//! - [`process`] names the children of this process, and takes their status.
//! - [`affinity`] pins a thread to CPUs, and [`threads`] are pools of threads for what blocks.
//! - [`direct_io`] knows what direct I/O on a file asks for.
//! - [`file`](mod@file) holds the system calls that are made on files without the ring.
//! - [`inotify`] watches files and directories.
//! - [`names`] asks the C library for the name of an address.
//! - [`passed_fds`] are the descriptors that a message carries to another process.
//! - [`inherited`] takes over descriptors that a process was started with, and passes some on.
//! - [`paths`] has paths as SQEs carry them, and calls on them for threads; [`listing`] reads
//!   directories there, and [`copy_range`] copies. [`statx`] is what the kernel tells of a file.
//!
//! The rest are small: [`clock`], [`errno`], [`fs`], [`message`], [`poll`], [`resolve`],
//! [`segments`], `duration` and `pages` hold the kernel's constants and forms, and mapped memory.

pub(crate) mod address;
pub(crate) mod affinity;
mod buffer_ring;
pub(crate) mod bypass;
pub(crate) mod capabilities;
pub(crate) mod clock;
mod completion;
pub(crate) mod control;
pub(crate) mod copy_range;
pub(crate) mod datagram;
mod diagnose;
pub(crate) mod direct_io;
mod duration;
mod enter;
pub(crate) mod errno;
pub(crate) mod eventfd;
pub(crate) mod file;
mod flags;
pub(crate) mod fork;
pub(crate) mod fs;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(crate) mod gvisor;
pub(crate) mod inherited;
pub(crate) mod inotify;
pub(crate) mod listing;
pub(crate) mod message;
pub(crate) mod names;
mod pages;
pub(crate) mod passed_fds;
pub(crate) mod paths;
pub(crate) mod poll;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod resolve;
mod ring;
mod ring_kind;
pub(crate) mod segments;
pub(crate) mod setup;
pub(crate) mod severing;
pub(crate) mod signals;
mod sqe;
pub(crate) mod statx;
pub(crate) mod threads;

pub(crate) use buffer_ring::BufferRing;
use buffer_ring::Provided;
pub(crate) use bypass::{nonblocking, option, pipe, socket, splice, splice_pipe, tcp_info};
pub(crate) use completion::Completion;
pub(crate) use duration::{millis, saturating_deadline, seconds, timespec};
pub(crate) use io_uring::squeue::{Entry as Submission, Flags as SubmissionFlags};
pub(crate) use io_uring::{opcode, types};
pub(crate) use pages::{Pages, page_size};
#[cfg(feature = "faults")]
pub(crate) use ring::InlineFaults;
pub(crate) use ring::{
    BUFFER_GROUP, Batch, DATAGRAM_GROUP, Drained, Entered, Full, KernelRing, PortableRing, Ring,
    Wait, WorkerLimits,
};
#[cfg(feature = "faults")]
pub use ring::{FaultKind, FaultLog, Faults};
#[cfg(test)]
pub(crate) use ring::{NONEMPTY, NOTIFICATION, ScriptedRing};
pub use ring_kind::RingKind;
pub(crate) use sqe::{Sqe, SqeFile};
