//! Counters of a driver.

/// What a runtime's ring has done so far, and has in hand. See
/// [`Runtime::metrics`](crate::Runtime::metrics) and [`metrics`](crate::metrics()).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Entries that the kernel has taken.
    pub submitted: u64,
    /// Entries that the kernel has completed for the last time.
    pub completed: u64,
    /// Entries that the kernel has and has not completed: submitted less completed.
    pub in_kernel: u64,
    /// Entries that wait to be submitted.
    pub queued: u64,
    /// Times the completion queue was found overflown. Nothing is lost then, but it costs; make
    /// the queue larger with [`Builder::cq_entries`](crate::Builder::cq_entries).
    pub cq_overflows: u64,
    /// Times the kernel was entered.
    pub enter_calls: u64,
    /// Times the kernel refused to be entered, for want of memory or of room for completions. Nothing
    /// is lost then, but nothing is begun either; after a second of it there is an
    /// [`Incident::EnterRefused`](crate::Incident::EnterRefused).
    pub refused_enter_calls: u64,
    /// Sends and receives that were done by a system call of their own, because they need not wait:
    /// they are no entries.
    pub inline_calls: u64,
    /// How many small buffers for receives are in use: as many as were wanted at the same time lately, at
    /// most [`Builder::small_buffers`](crate::Builder::small_buffers).
    pub provided_buffers_in_use: usize,
    /// Receives that found all buffers of the runtime lent out, and took memory of their own; make
    /// them more with [`Builder::large_buffers`](crate::Builder::large_buffers).
    pub buffer_misses: u64,
    /// Bytes of memory of their own that such receives have now, counting what has been received by them
    /// and is kept; see [`Builder::max_fallback_bytes`](crate::Builder::max_fallback_bytes).
    pub fallback_buffer_bytes: usize,
    /// Direct descriptors that were made or prepared for; see
    /// [`Builder::direct_descriptors`](crate::Builder::direct_descriptors).
    pub direct_descriptors: u64,
    /// Times there was no place for one, so that there was an ordinary descriptor instead.
    pub direct_descriptor_misses: u64,
    /// Receives that go on by themselves, one entry for all that a connection brings: connections that
    /// bring little at a time receive so. See [`TcpStream::recv`](crate::net::TcpStream::recv).
    pub multishot_receives: u64,
    /// Sends for which the kernel was asked not to copy; see
    /// [`TcpStream::write_all_zero_copy`](crate::net::TcpStream::write_all_zero_copy).
    pub zero_copy_sends: u64,
    /// Times a send had to wait until its connection had room for more, because the peer read too slowly.
    pub send_stalls: u64,
    /// Times an accept had to wait because descriptors or memory had run out.
    pub accept_stalls: u64,
    /// Accepts that failed for another reason; they were tried again.
    pub accept_errors: u64,
    /// Handlers of servers that ended with an error which says no more than that the peer is gone:
    /// a reset, a broken pipe, an end in the middle of a record.
    pub peer_disconnects: u64,
    /// Timers that are running, or have fired and not been looked at.
    pub timers: usize,
}
