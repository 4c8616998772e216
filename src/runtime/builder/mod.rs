//! The configuration of a runtime: of its ring (`ring`), its receive buffers (`buffers`), and its
//! event loop and end.

mod buffers;
mod ring;

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, mem};

use super::napi::NapiOptions;
use crate::driver::BufferSizes;
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

    /// Limits how long dropping the runtime waits for its operations to be released.
    ///
    /// 5 seconds by default.
    ///
    /// What the kernel has not released by then is leaked on purpose and reported
    /// ([`Incident::OperationsLeaked`]). Zero does not wait; [`Duration::MAX`] waits without a
    /// bound.
    pub fn teardown_timeout(mut self, timeout: Duration) -> Self {
        self.teardown_timeout = timeout;
        self
    }

    /// Limits how long dropping the runtime waits for [shielded](crate::join::shield) work.
    ///
    /// 5 seconds by default.
    ///
    /// The other tasks continue meanwhile. Work that is not done by then is dropped, and reported
    /// as an [`Incident::ShieldedWorkLost`]. Zero polls what is ready once, and does not wait.
    pub fn shield_timeout(mut self, timeout: Duration) -> Self {
        self.shield_timeout = timeout;
        self
    }

    /// Limits how long dropping the runtime sends what was written before.
    ///
    /// That is what [`StreamWriter`](crate::io::StreamWriter)s hold. 1 second by default.
    ///
    /// The other tasks continue meanwhile; what they write is not waited for. Data that is not sent
    /// by then, because a peer does not read, is lost and reported as an
    /// [`Incident::UnsentDataLost`]. Zero does not send.
    pub fn flush_timeout(mut self, timeout: Duration) -> Self {
        self.flush_timeout = timeout;
        self
    }

    /// Sets whether the first ctrl-c (SIGINT) cancels the main task.
    ///
    /// Destructors then run, and the runtime ends in order. Off by default. The second ctrl-c kills
    /// the process.
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

    /// Sets whether the clock is paused from the beginning. Off by default.
    ///
    /// It is for tests of long waits; [`time::pause`](crate::time::pause) pauses the clock later.
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
