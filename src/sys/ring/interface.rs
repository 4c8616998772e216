//! What a ring is asked, and what it answers.

use std::io;
use std::time::Duration;

/// How long an enter may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Submit and collect what has completed; do not wait.
    No,
    /// Wait for a completion, or for as many as the ring was told to wait for, but no longer than
    /// this.
    AtMost(Duration),
    /// Wait for a completion, or for as many as the ring was told to wait for.
    Forever,
    /// Wait for one completion, however many the ring was told to wait for, but no longer than
    /// this.
    ForOne(Duration),
}

impl Wait {
    /// The same, but no longer than `limit`, if there is one.
    pub(crate) fn within(self, limit: Option<Duration>) -> Self {
        match (self, limit) {
            (Self::No, _) | (_, None) => self,
            (_, Some(Duration::ZERO)) => Self::No,
            (Self::Forever, Some(limit)) => Self::AtMost(limit),
            (Self::AtMost(wait), Some(limit)) => Self::AtMost(wait.min(limit)),
            (Self::ForOne(wait), Some(limit)) => Self::ForOne(wait.min(limit)),
        }
    }
}

/// What an enter has done.
#[derive(Debug)]
pub(crate) struct Entered {
    /// How many SQEs were taken, which may be fewer than were queued. SQEs may have been taken even
    /// if the call failed: a kernel thread takes them at any time.
    pub(crate) taken: usize,
    /// The outcome of the call itself, as of `io_uring_enter(2)`. What was not taken stays queued.
    pub(crate) outcome: io::Result<()>,
}

/// How a receive that was made without the ring has found that a socket has nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// It has received less than it had room for.
    Short,
    /// It would have had to wait.
    Blocked,
}

/// The group of the small provided buffers, in SQEs that let the kernel select one.
pub(crate) const BUFFER_GROUP: u16 = 0;

/// The group of the provided buffers for datagrams.
pub(crate) const DATAGRAM_GROUP: u16 = 1;

/// The submission queue has no room: enter first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// How many kernel workers there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerLimits {
    /// For work that needs no peer to end ("bounded"): regular files, opens and closes, sockets
    /// included.
    pub(crate) files: u32,
    /// For work that may wait for a peer ("unbounded"), such as a splice of a pipe.
    pub(crate) others: u32,
}
