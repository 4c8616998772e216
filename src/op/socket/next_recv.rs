//! The decision how the next lease receive is done. The first way that applies is taken:
//!
//! | way                             | applies when                                              |
//! |---------------------------------|-----------------------------------------------------------|
//! | [`NextRecv::Unread`]            | orphaned reads have left something                        |
//! | [`NextRecv::Multishot`]         | small messages come often, and the kernel has it (6.0)    |
//! | [`NextRecv::Inline`]            | the last receive left bytes in the socket                 |
//! | [`RecvSubmission::Poll`]        | the same, or messages are bulk, or no provided buffers    |
//! | [`RecvSubmission::Provided`]    | messages are small, or nothing is known of them           |
//! | [`RecvSubmission::LargeBuffer`] | a direct descriptor cannot be installed for inline calls  |
//!
//! Bulk is better received when its task is polled, and sent on at once: the kernel would receive
//! for many sockets in one go, and the first data would have left the cache before its task runs.
//! Small messages are better received by the kernel, which saves the call.

use super::stream::StreamSocket;

/// How the next lease receive is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRecv {
    /// What orphaned reads have left is returned.
    Unread,
    /// One SQE delivers all messages, in provided buffers (`recv_multishot`).
    Multishot,
    /// An inline call receives into a large buffer. If none may be made in this turn: `Submit`.
    Inline,
    /// By what [`StreamSocket::recv_submission`] returns.
    Submit,
}

/// What is submitted to receive once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecvSubmission {
    /// An SQE polls for readiness; then an inline call receives into a large buffer.
    Poll,
    /// An SQE receives into a provided buffer, which the kernel selects when data has come.
    Provided,
    /// An SQE receives into a large buffer, and waits with it.
    LargeBuffer,
}

impl StreamSocket {
    #[inline]
    pub(super) fn next_recv(&self) -> NextRecv {
        if self.has_unread() {
            NextRecv::Unread
        } else if self.receives_multishot() {
            NextRecv::Multishot
        } else if self.has_more.get() {
            NextRecv::Inline
        } else {
            NextRecv::Submit
        }
    }

    /// Whether the multishot receive is in flight, or is to be started.
    #[inline]
    pub(super) fn receives_multishot(&self) -> bool {
        self.multishot.is_started()
            || self.strategy.get().prefers_multishot() && self.may_multishot()
    }

    fn may_multishot(&self) -> bool {
        let driver = self.driver();
        !self.reads_with_owned_buffers.get()
            && driver.capabilities().multishot_recv
            && driver.buffers().has_provided()
    }

    /// What to submit; `ran_out` if the kernel has just found no provided buffer.
    pub(super) fn recv_submission(&self, ran_out: bool) -> RecvSubmission {
        let has_provided = !ran_out && self.driver().buffers().has_provided();
        let by_call = self.has_more.get() || self.strategy.get().is_bulk() || !has_provided;
        if by_call && self.inline_fd().is_some() {
            RecvSubmission::Poll
        } else if has_provided {
            RecvSubmission::Provided
        } else {
            RecvSubmission::LargeBuffer
        }
    }
}
