//! The configuration of a runtime.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, mem};

use super::napi::NapiOptions;
use crate::driver::{BufferSize, BufferSizes};
use crate::error::{Incident, IncidentHook, catch_panic};
#[cfg(feature = "faults")]
use crate::sys::Faults;
use crate::sys::setup::Size;
use crate::sys::{Batch, RingKind};
use crate::trace::SlowPolls;

/// Configures a [`Runtime`](crate::Runtime).
///
/// Sizes are named after what they size, limits begin with `max_`, and bounds on time end in
/// `_timeout`. Where the kernel or liburing has a name for a setting, it is that name.
///
/// # Example
///
/// ```
/// let runtime = annulus::Runtime::builder().sq_entries(64).cq_entries(512).build()?;
/// runtime.block_on(async {});
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[must_use]
#[derive(Clone)]
pub struct Builder {
    pub(super) ring: RingKind,
    pub(super) size: Size,
    pub(super) sqpoll: Option<Duration>,
    pub(super) min_wait: Option<Batch>,
    pub(super) napi: Option<NapiOptions>,
    pub(super) max_kernel_workers: Option<u32>,
    pub(super) buffers: BufferSizes,
    pub(super) direct_descriptors: u32,
    pub(super) max_polls_per_turn: usize,
    pub(super) max_remote_calls: usize,
    pub(super) teardown_timeout: Duration,
    pub(super) shield_timeout: Duration,
    pub(super) flush_timeout: Duration,
    pub(super) starts_paused: bool,
    pub(super) cancels_on_ctrl_c: bool,
    /// If `None`, each runtime has a `Reporter`.
    pub(super) incidents: Option<IncidentHook>,
    pub(super) slow_polls: SlowPolls,
    #[cfg(feature = "faults")]
    pub(super) faults: Option<Faults>,
}

impl Builder {
    /// Returns the default configuration.
    pub fn new() -> Self {
        Self {
            ring: RingKind::Auto,
            size: Size { submissions: 1024, completions: 8192 },
            sqpoll: None,
            min_wait: None,
            napi: None,
            max_kernel_workers: None,
            buffers: BufferSizes::default(),
            direct_descriptors: 0,
            max_polls_per_turn: 128,
            max_remote_calls: 65_536,
            teardown_timeout: Duration::from_secs(5),
            shield_timeout: Duration::from_secs(5),
            flush_timeout: Duration::from_secs(1),
            starts_paused: false,
            cancels_on_ctrl_c: false,
            incidents: None,
            slow_polls: SlowPolls::default(),
            #[cfg(feature = "faults")]
            faults: None,
        }
    }

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
    /// fewer ([`Incident::SmallerRing`]).
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

    /// Has a wait collect at least `completions` completions, or one once `timeout` has elapsed
    /// (Linux 6.12). Off by default.
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

    /// Has the kernel poll the network device while the event loop waits (NAPI busy polling, Linux
    /// 6.9). Off by default.
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

    /// Sets the large receive buffers: `count` of `bytes` each; 64 of 256 KiB by default.
    ///
    /// [`TcpStream::recv`](crate::net::TcpStream::recv) uses them for bulk traffic. Few buffers
    /// that are used again at once stay in the processor's cache. While all are lent, receives
    /// allocate memory ([`max_fallback_bytes`](Self::max_fallback_bytes)).
    ///
    /// Address space is reserved when the first is needed, and takes pages as they are used. Where
    /// address space is limited there are fewer ([`Incident::FewerLeases`]). A running event loop
    /// returns pages that have not been needed for a while.
    ///
    /// # Panics
    ///
    /// If `count` or `bytes` is zero, `count` is above 32,768, or `bytes` above 1 GiB.
    #[track_caller]
    pub fn large_buffers(mut self, count: u16, bytes: usize) -> Self {
        self.buffers.large = buffer_size(count, bytes);
        self
    }

    /// Sets the small receive buffers: at most `count` of `bytes` each; 4096 of 4 KiB by default.
    ///
    /// [`TcpStream::recv`](crate::net::TcpStream::recv) uses them for small messages: they are
    /// provided buffers, of which the kernel selects one when bytes have arrived (Linux 5.19). Only
    /// as many are used as were needed at the same time lately, so a large `count` costs nothing by
    /// itself. `count` is rounded up to a power of two.
    ///
    /// While all are lent, receives use large ones, each with an SQE more.
    ///
    /// # Panics
    ///
    /// As for [`large_buffers`](Self::large_buffers).
    #[doc(alias = "IORING_REGISTER_PBUF_RING")]
    #[track_caller]
    pub fn small_buffers(mut self, count: u16, bytes: usize) -> Self {
        let BufferSize { count, bytes } = buffer_size(count, bytes);
        self.buffers.small = BufferSize { count: count.next_power_of_two(), bytes };
        self
    }

    /// Sets the receive buffers for datagrams: at most `count` of `bytes` each; 1024 of 68 KiB by
    /// default.
    ///
    /// [`UdpSocket::recv_msg`](crate::net::UdpSocket::recv_msg) and
    /// [`UdpSocket::recv_many`](crate::net::UdpSocket::recv_many) use them: they are provided
    /// buffers (Linux 6.0). 320 bytes of each are for the sender's address and control messages. A
    /// datagram that is longer than the rest is cut, which is reported; the default has room for
    /// the longest. What datagrams are not written to takes address space only, so a buffer that
    /// has held 1200 bytes costs a page. `count` is rounded up to a power of two.
    ///
    /// # Panics
    ///
    /// As for [`large_buffers`](Self::large_buffers), and if `bytes` is less than 1024.
    #[track_caller]
    pub fn datagram_buffers(mut self, count: u16, bytes: usize) -> Self {
        let BufferSize { count, bytes } = buffer_size(count, bytes);
        assert!(bytes >= 1024, "`datagram_buffers`: a buffer has at least 1024 bytes");
        self.buffers.datagrams = BufferSize { count: count.next_power_of_two(), bytes };
        self
    }

    /// Limits the memory that receives allocate while all buffers are lent, in bytes; 16 MiB by
    /// default.
    ///
    /// Each such receive allocates as much as can be received, at most 64 KiB; beyond the limit, at
    /// most 4 KiB. Receives never wait for a buffer: a task that keeps its leases and receives
    /// again would wait for itself.
    ///
    /// So leases take no more memory than [`large_buffers`](Self::large_buffers),
    /// [`small_buffers`](Self::small_buffers) and this, plus 4 KiB for each
    /// [`Lease`](crate::buf::Lease) that the program keeps beyond them: a limit on connections is a
    /// limit on memory. [`Metrics::fallback_buffer_bytes`](crate::Metrics::fallback_buffer_bytes)
    /// is how much is in use.
    pub fn max_fallback_bytes(mut self, bytes: usize) -> Self {
        self.buffers.fallback = bytes;
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

    /// Limits how often tasks are polled in one turn of the event loop; 128 by default.
    ///
    /// Between turns, the kernel and the timers are served. A lower limit makes latency more even,
    /// a higher one makes larger batches.
    ///
    /// # Panics
    ///
    /// If `polls` is zero.
    #[track_caller]
    pub fn max_polls_per_turn(mut self, polls: usize) -> Self {
        assert!(polls > 0, "`max_polls_per_turn` of zero: a turn polls at least one task");
        self.max_polls_per_turn = polls;
        self
    }

    /// Limits how many calls of [`Handle`](crate::Handle)s may be queued; 65,536 by default.
    ///
    /// Further ones fail with [`SpawnError::Full`](crate::SpawnError::Full), until the
    /// runtime has begun some. In each turn of the event loop it begins at most
    /// [`max_polls_per_turn`](Self::max_polls_per_turn).
    ///
    /// # Panics
    ///
    /// If `calls` is zero.
    #[track_caller]
    pub fn max_remote_calls(mut self, calls: usize) -> Self {
        assert!(calls > 0, "`max_remote_calls` of zero: no handle could call the runtime");
        self.max_remote_calls = calls;
        self
    }

    /// Limits how long dropping the runtime waits for the kernel to release its operations; 5
    /// seconds by default.
    ///
    /// What the kernel has not released by then is leaked on purpose and reported
    /// ([`Incident::OperationsLeaked`]). Zero does not wait; [`Duration::MAX`] waits without a
    /// bound.
    pub fn teardown_timeout(mut self, timeout: Duration) -> Self {
        self.teardown_timeout = timeout;
        self
    }

    /// Limits how long dropping the runtime waits for [shielded](crate::join::shield) work; 5
    /// seconds by default.
    ///
    /// The other tasks continue meanwhile. Work that is not done by then is dropped, and reported
    /// as an [`Incident::ShieldedWorkLost`]. Zero polls what is ready once, and does not wait.
    pub fn shield_timeout(mut self, timeout: Duration) -> Self {
        self.shield_timeout = timeout;
        self
    }

    /// Limits how long dropping the runtime sends what was written to
    /// [`StreamWriter`](crate::io::StreamWriter)s; 1 second by default.
    ///
    /// The other tasks continue meanwhile; what they write is not waited for. Data that is not sent
    /// by then, because a peer does not read, is lost and reported as an
    /// [`Incident::UnsentDataLost`]. Zero does not send.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.flush_timeout = timeout;
        self
    }

    /// Whether the first ctrl-c (SIGINT) cancels the main task, so that destructors run and the
    /// runtime ends in order. Off by default. The second kills the process.
    ///
    /// [`Runtime::try_block_on`](crate::Runtime::try_block_on) then returns
    /// [`Interrupted`](crate::Interrupted). [`Runtime::block_on`](crate::Runtime::block_on) and
    /// [`annulus::main`](macro@crate::main) end the runtime and then the process, as killed by
    /// SIGINT, so that a shell that started it knows. To clean up with awaits instead, wait for
    /// [`signal::ctrl_c`](crate::signal::ctrl_c).
    #[doc(alias = "KeyboardInterrupt")]
    pub fn cancel_on_ctrl_c(mut self, cancel: bool) -> Self {
        self.cancels_on_ctrl_c = cancel;
        self
    }

    /// Returns whether ctrl-c cancels the main task, and has it not do so: the shards do it.
    pub(crate) fn take_cancel_on_ctrl_c(&mut self) -> bool {
        mem::take(&mut self.cancels_on_ctrl_c)
    }

    /// Whether the clock is paused from the beginning, as by [`time::pause`](crate::time::pause),
    /// for tests of long waits. Off by default.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = annulus::Runtime::builder().start_paused(true).build()?;
    /// // An hour that takes a moment.
    /// runtime.block_on(annulus::time::sleep(Duration::from_secs(3600)));
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.starts_paused = paused;
        self
    }

    /// Calls `hook` for each [`Incident`]: what no caller would see otherwise, such as the panic of
    /// a detached task. By default incidents are printed to standard error.
    ///
    /// The hook is called on the event loop's thread, so it must not block: pass the incident to a
    /// thread that writes it. Only [`Incident::ThreadBoundLeaked`] is reported on the thread that
    /// has dropped the value, and after the end of the runtime. A panic of the hook is discarded.
    ///
    /// The default prints from a thread of its own, at most ten incidents a second of each kind,
    /// and the number of those it skips. The event loop does not wait for it. The end of the
    /// runtime waits up to half a second for what has not been written; a process that ends
    /// otherwise, such as by [`process::exit`](std::process::exit), may lose the last lines. (The
    /// standard library's panic hook prints the message of a panic, on the thread that panics, and
    /// may block it.)
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// static REPORTED: AtomicBool = AtomicBool::new(false);
    /// let hook = |_: &annulus::Incident| REPORTED.store(true, Ordering::Relaxed);
    /// annulus::Runtime::builder().on_incident(hook).build()?.block_on(async {
    ///     drop(annulus::spawn(async { panic!("no task joins this") }));
    ///     annulus::yield_now().await;
    /// });
    /// assert!(REPORTED.load(Ordering::Relaxed));
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.loop.set_exception_handler")]
    pub fn on_incident(mut self, hook: impl Fn(&Incident) + Send + Sync + 'static) -> Self {
        self.incidents = Some(Arc::new(move |incident| {
            let _ = catch_panic(|| hook(incident));
        }));
        self
    }

    /// Reports each poll of a task that takes longer than `threshold` (feature `tracing`). Off by
    /// default.
    ///
    /// Meanwhile the thread's other tasks wait. The report is an event of the crate `tracing`, at
    /// the level WARN with the target `annulus::slow_poll`, in the span of the task; its fields
    /// are the task's `id` and `name`, where it was `spawned_at`, and `elapsed_us`. Each poll takes
    /// two readings of the clock.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let threshold = Duration::from_millis(10);
    /// let runtime = annulus::Builder::new().slow_poll_threshold(threshold).build()?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[cfg(feature = "tracing")]
    #[doc(alias = "blocking")]
    #[doc(alias = "slow_callback_duration")]
    pub fn slow_poll_threshold(mut self, threshold: Duration) -> Self {
        self.slow_polls = SlowPolls::longer_than(threshold);
        self
    }

    /// Makes faults on purpose, to test what runs on the runtime (feature `faults`).
    ///
    /// See [`Faults`]. By default the environment variable `ANNULUS_FAULTS` says which, if it is
    /// set ([`Faults::from_env`]). Without the feature there is neither.
    #[cfg(feature = "faults")]
    #[doc(alias = "chaos")]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = Some(faults);
        self
    }
}

#[track_caller]
fn buffer_size(count: u16, bytes: usize) -> BufferSize {
    assert!(
        count > 0 && bytes > 0,
        "`large_buffers` and `small_buffers` need a count and a size above zero"
    );
    assert!(count <= 1 << 15, "`large_buffers` and `small_buffers`: at most 32,768 buffers");
    assert!(bytes <= 1 << 30, "`large_buffers` and `small_buffers`: a buffer has at most 1 GiB");
    BufferSize { count, bytes }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("ring", &self.ring)
            .field("sq_entries", &self.size.submissions)
            .field("cq_entries", &self.size.completions)
            .field("sqpoll", &self.sqpoll)
            .field("min_wait", &self.min_wait)
            .field("napi", &self.napi)
            .field("max_kernel_workers", &self.max_kernel_workers)
            .field("buffers", &self.buffers)
            .field("direct_descriptors", &self.direct_descriptors)
            .field("max_polls_per_turn", &self.max_polls_per_turn)
            .field("max_remote_calls", &self.max_remote_calls)
            .field("teardown_timeout", &self.teardown_timeout)
            .field("shield_timeout", &self.shield_timeout)
            .field("flush_timeout", &self.flush_timeout)
            .field("start_paused", &self.starts_paused)
            .field("cancel_on_ctrl_c", &self.cancels_on_ctrl_c)
            .finish_non_exhaustive()
    }
}
