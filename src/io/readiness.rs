//! What to wait for on a descriptor, and what the kernel has reported.

use std::ops::BitOr;

use crate::sys::poll::{BROKEN, FAILED, HUNG_UP, PEER_ENDED, PRIORITY, READABLE, WRITABLE};

/// What to wait for on a descriptor.
///
/// # Example
///
/// ```
/// use annulus::io::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable() && !both.is_priority());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interest(u32);

impl Interest {
    /// Something to read, or EOF.
    pub const READABLE: Self = Self(READABLE | PEER_ENDED);
    /// Room to write.
    pub const WRITABLE: Self = Self(WRITABLE);
    /// Something to read out of order: urgent data of a TCP connection, and what else a kind of
    /// descriptor has (`POLLPRI`).
    pub const PRIORITY: Self = Self(PRIORITY);

    /// Whether it includes [`READABLE`](Self::READABLE).
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Whether it includes [`WRITABLE`](Self::WRITABLE).
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// Whether it includes [`PRIORITY`](Self::PRIORITY).
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    pub(super) fn events(self) -> u32 {
        self.0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What the kernel has reported of a descriptor.
///
/// Errors and the end of both directions are reported whatever was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ready(u32);

impl Ready {
    pub(super) fn new(reported: u32) -> Self {
        Self(reported)
    }

    /// Whether a read does not have to wait: there are bytes, EOF or an error.
    pub const fn is_readable(self) -> bool {
        self.0 & (READABLE | PEER_ENDED | BROKEN) != 0
    }

    /// Whether a write does not have to wait: there is room, or an error.
    pub const fn is_writable(self) -> bool {
        self.0 & (WRITABLE | BROKEN) != 0
    }

    /// Whether there is something to read out of order.
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Whether the peer sends no more. There may be bytes to read before its EOF.
    pub const fn is_read_closed(self) -> bool {
        self.0 & (PEER_ENDED | HUNG_UP) != 0
    }

    /// Whether a write would fail: both directions have ended, or no reader is left.
    pub const fn is_write_closed(self) -> bool {
        self.0 & (HUNG_UP | FAILED) != 0
    }

    /// Whether there is an error, which the next read or write reports.
    pub const fn is_error(self) -> bool {
        self.0 & FAILED != 0
    }
}
