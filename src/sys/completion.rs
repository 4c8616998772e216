//! A completion (CQE), copied out of the ring: the user data, result and flags of an SQE.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use io_uring::cqueue;

use super::errno::is_cancellation;

/// `IORING_CQE_F_SOCK_NONEMPTY`, which the crate can test but not set.
const SOCK_NONEMPTY: u32 = 1 << 2;

/// `IORING_CQE_F_MORE`, which the crate can test but not clear.
#[cfg(feature = "faults")]
const MORE: u32 = 1 << 1;

/// `IORING_NOTIF_USAGE_ZC_COPIED`.
const NOTIF_COPIED: u32 = 1 << 31;

/// One completion, copied out of the completion queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    /// The user data of the SQE that this completes, unchanged.
    pub(crate) user_data: u64,
    result: i32,
    flags: u32,
}

impl Completion {
    pub(crate) fn new(user_data: u64, result: i32, flags: u32) -> Self {
        Self { user_data, result, flags }
    }

    /// The completion of an SQE that never reached the kernel: a failure with `errno`.
    pub(crate) fn failed(errno: i32) -> Self {
        Self::new(0, -errno, 0)
    }

    /// The result of an inline call; `more` is [`has_more`](Self::has_more).
    pub(super) fn of_call(result: i32, more: bool) -> Self {
        Self::new(0, result, if more { SOCK_NONEMPTY } else { 0 })
    }

    /// The same of an SQE with other user data.
    #[cfg(feature = "faults")]
    pub(super) fn for_user(self, user_data: u64) -> Self {
        Self { user_data, ..self }
    }

    /// The same with another result.
    #[cfg(feature = "faults")]
    pub(super) fn with_result(self, result: i32) -> Self {
        Self { result, ..self }
    }

    /// The same as the last one of its SQE.
    #[cfg(feature = "faults")]
    pub(super) fn without_more(self) -> Self {
        Self { flags: self.flags & !MORE, ..self }
    }

    /// Whether this is the notification of a zero-copy send.
    #[cfg(feature = "faults")]
    pub(super) fn is_notification(self) -> bool {
        cqueue::notif(self.flags)
    }

    /// The result as the kernel has it: a negative errno if the operation has failed.
    pub(super) fn raw_result(self) -> i32 {
        self.result
    }

    /// Whether the socket had more bytes after a receive.
    pub(crate) fn has_more(self) -> bool {
        self.flags & SOCK_NONEMPTY != 0
    }

    /// The provided buffer that the kernel has selected, if it has.
    pub(crate) fn buffer(self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }

    /// The operation's result: a count, a descriptor or zero, as the operation defines it.
    pub(crate) fn result(self) -> io::Result<u32> {
        // A negative result is an errno, so the conversion fails exactly for errors.
        u32::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }

    /// The descriptor that the operation has created.
    ///
    /// # Safety
    ///
    /// The completion is of an operation that makes a descriptor of the process, and this is called
    /// once.
    pub(crate) unsafe fn into_fd(self) -> io::Result<OwnedFd> {
        // SAFETY: the kernel has just created the descriptor, one for each completion
        // (`uring-sys-tests`, multishot_accept_goes_on), and the caller takes it once.
        self.result().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }

    /// The errno that the operation failed with, if it did.
    pub(crate) fn errno(self) -> Option<i32> {
        (self.result < 0).then_some(-self.result)
    }

    /// Whether the operation was cancelled or interrupted, and did nothing.
    pub(crate) fn is_interrupted(self) -> bool {
        self.errno().is_some_and(is_cancellation)
    }

    /// Whether the operation failed with this errno.
    pub(crate) fn failed_with(self, errno: i32) -> bool {
        self.result == -errno
    }

    /// Whether this is the notification of a zero-copy send whose bytes the kernel copied after
    /// all.
    pub(crate) fn zero_copy_was_copied(self) -> bool {
        cqueue::notif(self.flags) && (self.result as u32) & NOTIF_COPIED != 0
    }

    /// Whether the same SQE will complete again (`IORING_CQE_F_MORE`).
    pub(crate) fn more(self) -> bool {
        cqueue::more(self.flags)
    }
}

/// For comparing rings.
#[cfg(test)]
impl Completion {
    pub(super) fn raw_flags(self) -> u32 {
        self.flags
    }
}

impl From<&cqueue::Entry> for Completion {
    fn from(cqe: &cqueue::Entry) -> Self {
        Self::new(cqe.user_data(), cqe.result(), cqe.flags())
    }
}
