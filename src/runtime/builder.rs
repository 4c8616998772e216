//! Configuring a runtime.

use std::cell::Cell;
use std::fmt;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Runtime;
use super::context::Shared;
use super::napi::NapiOptions;
use crate::driver::{BufferSize, BufferSizes, Driver, Settings};
use crate::error::{Describe, Incident, IncidentHook, Reporter, SetupError, catch_panic};
use crate::sys::Batch;
use crate::sys::eventfd::EventFd;
use crate::sys::setup::{MOST_SUBMISSIONS, NewRing, Size, kernel_ring};
use crate::task::{Executor, RuntimeId};

/// Of the kernel's threads for what blocks: beyond all that is of use, and no danger to the machine.
const KERNEL_WORKERS: u32 = 256;

/// Makes a [`Runtime`] with other than the default configuration.
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
    size: Size,
    sqpoll: Option<Duration>,
    batch: Option<Batch>,
    napi: Option<NapiOptions>,
    kernel_workers: Option<u32>,
    leases: BufferSizes,
    direct_descriptors: u32,
    max_polls_per_turn: usize,
    teardown_timeout: Duration,
    shield_timeout: Duration,
    flush_timeout: Duration,
    starts_paused: bool,
    cancels_on_ctrl_c: bool,
    /// If none, there is a `Reporter` for each runtime.
    incidents: Option<IncidentHook>,
}

impl Builder {
    /// The default configuration.
    pub fn new() -> Self {
        Self {
            size: Size { submissions: 1024, completions: 8192 },
            sqpoll: None,
            batch: None,
            napi: None,
            kernel_workers: None,
            leases: BufferSizes::default(),
            direct_descriptors: 0,
            max_polls_per_turn: 128,
            teardown_timeout: Duration::from_secs(5),
            shield_timeout: Duration::from_secs(5),
            flush_timeout: Duration::from_secs(1),
            starts_paused: false,
            cancels_on_ctrl_c: false,
            incidents: None,
        }
    }

    /// How many entries the submission queue has: how many operations can begin in one turn without
    /// a system call in between. Rounded up to a power of two, at least 2; 1024 by default. Where
    /// locked memory is short the ring is made smaller.
    pub fn sq_entries(mut self, entries: u32) -> Self {
        self.size.submissions = entries.max(2);
        self
    }

    /// How many entries the completion queue has. More completions than that are kept by the
    /// kernel, which is slower. Rounded up to a power of two, at least as many as submissions; 8192
    /// by default.
    pub fn cq_entries(mut self, entries: u32) -> Self {
        self.size.completions = entries.max(2);
        self
    }

    /// Has a thread of the kernel's take what is queued, instead of a system call; not by default. It keeps
    /// a processor busy, and sleeps when there has been nothing for `idle` (whole milliseconds; zero is
    /// the kernel's default, a second).
    ///
    /// It is for machines with a core to spare for each runtime, and for latency: entries are begun at
    /// once. Where cores are scarce it makes everything slower.
    ///
    /// [`write_all_zero_copy`](crate::net::TcpStream::write_all_zero_copy) copies in such a runtime.
    #[doc(alias = "SQPOLL")]
    pub fn sqpoll(mut self, idle: Duration) -> Self {
        self.sqpoll = Some(idle);
        self
    }

    /// Waits until `completions` operations have completed instead of one; but if fewer have when
    /// `patience` is over, one is enough. Not by default. It needs Linux 6.12.
    ///
    /// Under a load that comes in a trickle it makes batches, which take less of the processor for each;
    /// what it costs is latency, up to `patience` for whatever wakes the loop, other threads included.
    /// Timers are as punctual as before.
    ///
    /// # Panics
    ///
    /// If `completions` is zero.
    #[track_caller]
    pub fn min_wait(mut self, completions: u32, patience: Duration) -> Self {
        assert!(completions > 0, "a wait is for at least one completion");
        self.batch = Some(Batch { completions, patience });
        self
    }

    /// Has the kernel poll the network device while the event loop waits (NAPI busy polling, Linux 6.9).
    /// Off by default.
    ///
    /// Shortens latency and keeps a processor busy. It needs a network device that supports it, and does
    /// nothing for the loopback interface. On an older kernel [`build`](Self::build) fails.
    #[doc(alias = "IORING_REGISTER_NAPI")]
    #[doc(alias = "SO_BUSY_POLL")]
    pub fn napi_busy_poll(mut self, options: NapiOptions) -> Self {
        self.napi = Some(options);
        self
    }

    /// How many threads the kernel may use at most for operations of this runtime that block, such as the
    /// pages of a file that are not in memory, or a close that [lingers](crate::net::TcpStream::set_linger);
    /// 256 by default. When all are busy such operations wait for each other. Sends and receives need none.
    ///
    /// The bound is the thread's, and so that of all rings which the thread makes. It needs Linux 5.15: asked
    /// for on an older kernel, [`build`](Self::build) fails; the default is not applied there.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[doc(alias = "IORING_REGISTER_IOWQ_MAX_WORKERS")]
    #[track_caller]
    pub fn max_kernel_workers(mut self, max: u32) -> Self {
        assert!(max > 0, "without kernel threads what blocks would never end");
        self.kernel_workers = Some(max);
        self
    }

    /// How many large buffers [`TcpStream::recv`](crate::net::TcpStream::recv) has, and how many bytes
    /// each has: 64 of 256 KiB by default. They are for connections that bring much at a time, and are
    /// used while it is passed on; few of them stay in the cache. When all are lent, receives take
    /// [memory of their own](Self::max_fallback_bytes).
    ///
    /// Address space is reserved when the first is wanted, and takes pages as they are used. Where it is
    /// limited there are fewer ([`Incident::FewerLeases`]). Pages that are not needed for a while are given
    /// back by a loop that turns.
    ///
    /// # Panics
    ///
    /// If either is zero, or there are more than 32,768 buffers, or one has more than 1 GiB.
    #[track_caller]
    pub fn large_buffers(mut self, count: u16, bytes: usize) -> Self {
        self.leases.large = lease_size(count, bytes);
        self
    }

    /// How many small buffers [`TcpStream::recv`](crate::net::TcpStream::recv) has at most, and how many
    /// bytes each has: 4096 of 4 KiB by default. They are for connections that bring little at a time:
    /// the kernel picks one when bytes have arrived (5.19). Only as many are used as were wanted at the
    /// same time lately, so a large count costs nothing by itself. Rounded up to a power of two.
    ///
    /// When all are lent, receives take large ones, which costs an entry more.
    ///
    /// # Panics
    ///
    /// As for [`large_buffers`](Self::large_buffers).
    #[track_caller]
    pub fn small_buffers(mut self, count: u16, bytes: usize) -> Self {
        let BufferSize { count, bytes } = lease_size(count, bytes);
        self.leases.small = BufferSize { count: count.next_power_of_two(), bytes };
        self
    }

    /// How many bytes of memory of their own receives may take when all buffers are lent out; 16 MiB by
    /// default. Each takes as much as there is to receive, up to 64 KiB; when all together come to this
    /// bound, up to 4 KiB. They never wait: a task that keeps what it has received and asks for more would
    /// wait for itself.
    ///
    /// So what has been received, and is kept, takes no more memory than [`large_buffers`](Self::large_buffers),
    /// [`small_buffers`](Self::small_buffers) and this, and beyond these 4 KiB for each
    /// [`Lease`](crate::buf::Lease) that the program keeps: a bound on connections is a bound on memory.
    /// [`Metrics::fallback_buffer_bytes`](crate::Metrics::fallback_buffer_bytes) says how much it is.
    pub fn max_fallback_bytes(mut self, bytes: usize) -> Self {
        self.leases.fallback = bytes;
        self
    }

    /// How many sockets may be direct descriptors: they stand in a table of the ring's instead of the
    /// process's, where the kernel finds them with less effort. None by default. It needs Linux 6.8, and no
    /// more than the process may have open files.
    ///
    /// Accepted and connected sockets are direct then, as long as there are places; others have ordinary
    /// descriptors ([`Metrics::direct_descriptor_misses`](crate::Metrics::direct_descriptor_misses)). Where
    /// a direct one is used by a system call (an option, an address, the transfer of much at a time), it
    /// gets an ordinary descriptor beside its place; so it does for
    /// [`AsFd`](std::os::fd::AsFd) and [`AsRawFd`], whose methods panic if there are
    /// no descriptors left or the runtime has ended. A direct descriptor that outlives its runtime is closed
    /// when that ends.
    ///
    /// # Panics
    ///
    /// If there are more than a million.
    #[track_caller]
    pub fn direct_descriptors(mut self, count: u32) -> Self {
        assert!(count <= 1 << 20, "a ring has at most 1,048,576 direct descriptors");
        self.direct_descriptors = count;
        self
    }

    /// How many times tasks are polled before the kernel and the timers have their turn; 128 by
    /// default. A smaller number makes latency more even, a larger one makes larger batches.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_polls_per_turn(mut self, polls: usize) -> Self {
        assert!(polls > 0, "a turn without polls would run nothing");
        self.max_polls_per_turn = polls;
        self
    }

    /// How long dropping the runtime waits for the kernel to let go of operations; 5 seconds by
    /// default. What it does not let go of by then is leaked and reported.
    pub fn teardown_timeout(mut self, limit: Duration) -> Self {
        self.teardown_timeout = limit;
        self
    }

    /// How long the end of the runtime lets [shielded](crate::join::shield) work go on; 5 seconds by
    /// default. What is not done by then is cut, and reported as an
    /// [`Incident::ShieldedWorkLost`]. Meanwhile the other tasks go on, too.
    pub fn shield_timeout(mut self, limit: Duration) -> Self {
        self.shield_timeout = limit;
        self
    }

    /// How long the end of the runtime goes on sending what has been written to
    /// [`StreamWriter`](crate::io::StreamWriter)s before; a second by default. A peer that does not read
    /// cannot hold it up for longer. What is not sent by then is lost, and reported as an
    /// [`Incident::UnsentDataLost`]. Meanwhile the other tasks go on, too; what they write is not waited for.
    pub fn flush_timeout(mut self, limit: Duration) -> Self {
        self.flush_timeout = limit;
        self
    }

    /// Whether the first ctrl-c (SIGINT) cancels the main task, so that destructors run and the runtime
    /// ends in order; not by default. The second kills the process.
    ///
    /// [`Runtime::try_block_on`] then gives [`Interrupted`](crate::Interrupted).
    /// [`Runtime::block_on`], and [`annulus::main`](crate::main), end the runtime and then the process, as
    /// killed by SIGINT, so that a shell that started it knows. To clean up with awaits instead, wait for
    /// [`signal::ctrl_c`](crate::signal::ctrl_c).
    #[doc(alias = "KeyboardInterrupt")]
    pub fn cancel_on_ctrl_c(mut self, cancel: bool) -> Self {
        self.cancels_on_ctrl_c = cancel;
        self
    }

    /// Whether the clock stands still from the beginning, as after [`time::pause`](crate::time::pause);
    /// not by default. For tests of what takes long.
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

    /// Calls `hook` for what nobody would hear of otherwise, such as the panic of a task that
    /// nobody joins. A panic in the hook is swallowed: there is nobody left to tell. It is called on
    /// the loop's thread, so it must not block: what writes to a pipe or a disk is better done by a
    /// thread that the hook gives the incident to.
    ///
    /// The default prints incidents to standard error from a thread of its own, at most ten a
    /// second of each kind, and says how many more there were. If nobody reads what is printed, the
    /// loop goes on all the same. The end of the runtime waits up to half a second for what has not
    /// been written; a process that ends otherwise, such as by
    /// [`process::exit`](std::process::exit), may lose the last lines. (The message of a panic is
    /// printed by the standard library's panic hook, on the thread that panics, and may block it.)
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// static HEARD: AtomicBool = AtomicBool::new(false);
    /// let hook = |_: &annulus::Incident| HEARD.store(true, Ordering::Relaxed);
    /// annulus::Runtime::builder().on_incident(hook).build()?.block_on(async {
    ///     drop(annulus::spawn(async { panic!("nobody joins this") }));
    ///     annulus::yield_now().await;
    /// });
    /// assert!(HEARD.load(Ordering::Relaxed));
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "asyncio.loop.set_exception_handler")]
    pub fn on_incident(mut self, hook: impl Fn(&Incident) + Send + Sync + 'static) -> Self {
        self.incidents = Some(Arc::new(move |incident| {
            let _ = catch_panic(|| hook(incident));
        }));
        self
    }

    /// Makes the runtime, which belongs to the calling thread.
    ///
    /// # Errors
    ///
    /// If io_uring cannot be used here; see [`SetupError`].
    pub fn build(self) -> Result<Runtime, SetupError> {
        let reporter = self.incidents.is_none().then(|| Arc::new(Reporter::new()));
        let incidents = self.incidents.unwrap_or_else(|| {
            let reporter = reporter.clone().expect("there is one if there is no hook");
            Arc::new(move |incident| reporter.report(incident))
        });
        let NewRing { mut ring, capabilities, submissions: got } =
            kernel_ring(self.size, self.sqpoll)?;
        if let Some(batch) = self.batch {
            ring.wait_for_batches(batch)?;
        }
        if let Some(NapiOptions { timeout, prefer }) = self.napi {
            ring.busy_poll(timeout, prefer)?;
        }
        match self.kernel_workers {
            Some(most) => ring.bound_workers(most)?,
            // A bound that nobody has asked for may be missing.
            None => drop(ring.bound_workers(KERNEL_WORKERS)),
        }
        if self.direct_descriptors > 0 {
            ring.make_direct_descriptors(self.direct_descriptors, capabilities)?;
        }
        let asked = self.size.submissions;
        if got < asked.min(MOST_SUBMISSIONS) {
            incidents(&Incident::SmallerRing { requested: asked, granted: got });
        }
        let bell = EventFd::new().describe("eventfd").map_err(SetupError::Other)?;
        let bell = Arc::new(bell);
        let (fd, hook) = (bell.as_raw_fd(), Arc::clone(&incidents));
        let settings = Settings {
            max_timers_per_turn: self.max_polls_per_turn,
            buffers: self.leases,
            file_slots: self.direct_descriptors,
            is_clock_paused: self.starts_paused,
        };
        let driver = Driver::new(ring, capabilities, fd, settings, hook);
        let driver = Rc::new(driver);
        // The tasks keep the eventfd open for as long as anyone could ring it.
        let ring = Arc::new(move || bell.ring());
        let shared = Shared {
            executor: Executor::new(RuntimeId::of(&driver), ring, incidents),
            driver,
            reporter,
            max_polls_per_turn: self.max_polls_per_turn,
            teardown_timeout: self.teardown_timeout,
            shield_timeout: self.shield_timeout,
            flush_timeout: self.flush_timeout,
            unsent_writes: Rc::default(),
            shielded: Rc::default(),
            cancels_on_ctrl_c: self.cancels_on_ctrl_c,
            inside: Cell::new(0),
        };
        Ok(Runtime { shared: Rc::new(shared) })
    }
}

#[track_caller]
fn lease_size(count: u16, bytes: usize) -> BufferSize {
    assert!(count > 0 && bytes > 0, "leases need buffers, and those a size");
    assert!(count <= 1 << 15, "a buffer ring has at most 32,768 buffers");
    assert!(bytes <= 1 << 30, "a buffer has at most 1 GiB");
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
            .field("sq_entries", &self.size.submissions)
            .field("cq_entries", &self.size.completions)
            .field("sqpoll", &self.sqpoll)
            .field("batch", &self.batch)
            .field("napi", &self.napi)
            .field("kernel_workers", &self.kernel_workers)
            .field("leases", &self.leases)
            .field("direct_descriptors", &self.direct_descriptors)
            .field("max_polls_per_turn", &self.max_polls_per_turn)
            .field("teardown_timeout", &self.teardown_timeout)
            .field("shield_timeout", &self.shield_timeout)
            .field("flush_timeout", &self.flush_timeout)
            .field("starts_paused", &self.starts_paused)
            .field("cancels_on_ctrl_c", &self.cancels_on_ctrl_c)
            .finish_non_exhaustive()
    }
}
