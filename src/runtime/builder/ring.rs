//! What the ring is made with: its kind and sizes, the kernel's threads and tables.

use std::time::Duration;

use super::Builder;
use crate::runtime::napi::NapiOptions;
use crate::sys::{Batch, RingKind};

impl Builder {
    /// Sets which ring the runtime uses; [`RingKind::Auto`] by default.
    ///
    /// That is io_uring, or the portable ring where io_uring is unavailable, and the environment
    /// may decide otherwise (`ANNULUS_RING`). With another kind it may not.
    ///
    /// # Example
    ///
    /// A program that would rather not start than be slower:
    ///
    /// ```no_run
    /// use annulus::{Builder, RingKind};
    ///
    /// let runtime = Builder::new().ring(RingKind::Kernel).build()?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn ring(mut self, kind: RingKind) -> Self {
        self.ring = kind;
        self
    }

    /// Sets the number of SQEs of the submission queue; 1024 by default.
    ///
    /// As many operations can be submitted in one turn by one system call. Rounded up to a power of
    /// two; at least 2, at most 32,768. If the limit of locked memory is too low, the ring has
    /// fewer ([`Incident::SmallerRing`](crate::Incident::SmallerRing)).
    #[doc(alias = "submissions")]
    pub fn sq_entries(mut self, entries: u32) -> Self {
        self.size.submissions = entries.max(2);
        self
    }

    /// Sets the number of CQEs of the completion queue; 8192 by default.
    ///
    /// The kernel stores further completions in memory of its own, which is slower
    /// ([`Metrics::cq_overflows`](crate::Metrics::cq_overflows)). Rounded up to a power of two; at
    /// least as many as [SQEs](Self::sq_entries), at most 65,536.
    #[doc(alias = "IORING_SETUP_CQSIZE")]
    pub fn cq_entries(mut self, entries: u32) -> Self {
        self.size.completions = entries.max(2);
        self
    }

    /// Has a kernel thread submit SQEs, instead of system calls (SQPOLL). Off by default.
    ///
    /// The thread keeps a processor busy. It sleeps after `idle` without SQEs, in milliseconds,
    /// rounded up; zero is the kernel's default of one second.
    ///
    /// This is for machines with a core to spare for each runtime, and for latency: operations
    /// start at once. Where cores are scarce it makes everything slower.
    ///
    /// [`write_all_zero_copy`](crate::net::TcpStream::write_all_zero_copy) copies in such a
    /// runtime. On the portable ring this has no effect.
    #[doc(alias = "IORING_SETUP_SQPOLL")]
    pub fn sqpoll(mut self, idle: Duration) -> Self {
        self.sqpoll = Some(idle);
        self
    }

    /// Has a wait collect at least `completions` completions (Linux 6.12).
    ///
    /// Once `timeout` has elapsed, one is enough. Off by default.
    ///
    /// Under a steady trickle of completions this makes batches, which take less processor time for
    /// each. The price is latency: up to `timeout` (in microseconds, rounded up; at most 71
    /// minutes) for whatever wakes the event loop, other threads included. Timers are as punctual
    /// as before. More `completions` than [`cq_entries`](Self::cq_entries) count as that many. On
    /// an older kernel [`build`](Self::build) fails. On the portable ring this has no effect.
    ///
    /// # Panics
    ///
    /// If `completions` is zero.
    #[doc(alias = "IORING_ENTER_EXT_ARG")]
    #[track_caller]
    pub fn min_wait(mut self, completions: u32, timeout: Duration) -> Self {
        assert!(completions > 0, "`min_wait` for no completion: give at least one");
        self.min_wait = Some(Batch { completions, patience: timeout });
        self
    }

    /// Has the kernel poll the network device while the loop waits (Linux 6.9).
    ///
    /// This is NAPI busy polling. Off by default.
    ///
    /// This shortens latency and keeps a processor busy. It needs a network device that supports
    /// it, and has no effect on the loopback interface, or on the portable ring. On an older kernel
    /// [`build`](Self::build) fails.
    #[doc(alias = "IORING_REGISTER_NAPI")]
    #[doc(alias = "SO_BUSY_POLL")]
    pub fn napi_busy_poll(mut self, options: NapiOptions) -> Self {
        self.napi = Some(options);
        self
    }

    /// Limits the kernel threads for operations that block (io-wq, Linux 5.15).
    ///
    /// There are two kinds, and this sets the limit of each. By default it is 32 for regular files,
    /// opens and closes, and 256 for all else. Threads that work on one file system wait for its
    /// locks, at the cost of processor time: a program that writes and syncs much may gain by four
    /// for each core.
    ///
    /// Such operations read the pages of a file that are not in memory, close a socket that
    /// [lingers](crate::net::TcpStream::set_linger), or connect to a Unix socket whose backlog is
    /// full. While all workers are busy, further ones wait. Sends and receives need none.
    ///
    /// The limit is the thread's, for all rings that the thread makes; more than `RLIMIT_NPROC`
    /// count as that many. On an older kernel [`build`](Self::build) fails if this was called; the
    /// default is not applied there. On the portable ring the limits are those of its own threads.
    ///
    /// # Panics
    ///
    /// If `max` is zero.
    #[doc(alias = "IORING_REGISTER_IOWQ_MAX_WORKERS")]
    #[track_caller]
    pub fn max_kernel_workers(mut self, max: u32) -> Self {
        assert!(max > 0, "`max_kernel_workers` of zero: operations that block need at least one");
        self.max_kernel_workers = Some(max);
        self
    }

    /// Sets how many sockets and files may be direct descriptors (Linux 6.8); none by default.
    ///
    /// A direct descriptor is a slot of the ring's file table instead of the process's own table,
    /// which the kernel looks up faster. Accepted and connected sockets are direct while file slots
    /// are free, and so are files that are [opened so](crate::fs::OpenOptions::direct_descriptor);
    /// further ones have ordinary descriptors
    /// ([`Metrics::direct_descriptor_misses`](crate::Metrics::direct_descriptor_misses)). A socket
    /// that a system call needs (an option, an address, an inline transfer of bulk data) has an
    /// ordinary descriptor beside its file slot from then on. So does one used by
    /// [`AsFd`](std::os::fd::AsFd) or [`AsRawFd`](std::os::fd::AsRawFd), whose methods panic if no
    /// descriptors are left or the runtime has ended. A direct descriptor that outlives its runtime
    /// is closed when that ends.
    ///
    /// On an older kernel [`build`](Self::build) fails, as it does if the process may not have as
    /// many open files.
    ///
    /// # Panics
    ///
    /// If `count` is above 1,048,576.
    #[doc(alias = "IORING_REGISTER_FILES2")]
    #[track_caller]
    pub fn direct_descriptors(mut self, count: u32) -> Self {
        assert!(count <= 1 << 20, "`direct_descriptors`: a ring has at most 1,048,576");
        self.direct_descriptors = count;
        self
    }
}
