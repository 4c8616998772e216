//! The configuration of the shards.

use std::fmt;
use std::time::Duration;

use super::cpu_list::CpuList;
use super::failure::OnFailure;
use super::placement::PlacementOptions;
use crate::runtime::Builder;
use crate::shutdown::Shutdown;

/// Starts shards: threads with a runtime each, which run the same closure.
///
/// See [`shards`](crate::shards) for the model.
#[doc(alias = "thread_per_core")]
#[doc(alias = "multi_thread")]
#[derive(Debug)]
#[non_exhaustive]
pub struct Shards;

impl Shards {
    /// Returns a [`ShardsBuilder`] with the default configuration.
    pub fn builder() -> ShardsBuilder {
        ShardsBuilder::new()
    }
}

/// Configures [`Shards`], and runs them.
///
/// # Example
///
/// ```
/// use annulus::Shards;
///
/// let names = Shards::builder()
///     .count(2)
///     .name("store")
///     .run(async |_| std::thread::current().name().map(str::to_owned))?;
/// assert_eq!(names[1].as_deref(), Some("store-1"));
/// # Ok::<(), annulus::shards::ShardsError>(())
/// ```
#[must_use]
pub struct ShardsBuilder {
    pub(super) placement: PlacementOptions,
    pub(super) name: String,
    pub(super) stack_size: Option<usize>,
    pub(super) shutdown: Shutdown,
    pub(super) on_failure: OnFailure,
    pub(super) stop_timeout: Duration,
    pub(super) runtime: Box<dyn Fn(usize) -> Builder + Send>,
    pub(super) queue_capacity: usize,
}

impl ShardsBuilder {
    fn new() -> Self {
        Self {
            placement: PlacementOptions::default(),
            name: "shard".into(),
            stack_size: None,
            shutdown: Shutdown::new(),
            on_failure: OnFailure::Stop,
            stop_timeout: Duration::from_secs(30),
            runtime: Box::new(|_| Builder::new()),
            queue_capacity: 256,
        }
    }

    /// Sets the number of shards.
    ///
    /// By default there is one for each CPU that the process may use: by its affinity and its
    /// cpuset, and as many as the quotas of its control groups grant, rounded up. With a
    /// [list](Self::cpus) there is one for each CPU of the list. There may be more shards than
    /// CPUs.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    #[track_caller]
    pub fn count(mut self, count: usize) -> Self {
        assert!(count > 0, "`count` of zero: there is at least one shard");
        self.placement.count = Some(count);
        self
    }

    /// Sets the CPUs that the shards run on: the first on the first CPU of the list, and so on.
    ///
    /// If there are more shards than CPUs, the list begins again. By default it is the list of the
    /// CPUs that the process may use ([`CpuList::allowed`]).
    ///
    /// # Panics
    ///
    /// If the list is empty.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use annulus::Shards;
    /// use annulus::shards::CpuList;
    ///
    /// let list: CpuList = std::env::var("CPUS")?.parse()?;
    /// Shards::builder().cpus(list).run(async |shard| println!("on CPU {:?}", shard.cpu()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn cpus(mut self, cpus: impl Into<CpuList>) -> Self {
        let cpus = cpus.into();
        assert!(!cpus.as_slice().is_empty(), "`cpus` of an empty list: name at least one CPU");
        self.placement.cpus = Some(cpus);
        self
    }

    /// Whether each shard is pinned to one CPU.
    ///
    /// By default shards are pinned if there are [given CPUs](Self::cpus), or at least as many
    /// shards as CPUs. With fewer, because of a quota or a [count](Self::count), the system chooses
    /// the CPUs better: other programs of the machine may have chosen the same. With `false` and
    /// given CPUs, each shard may run on any of those.
    ///
    /// If the system refuses to pin a shard to its CPU, [`run`](Self::run) fails; but by default,
    /// without this or given CPUs, the shard then runs anywhere.
    ///
    /// Threads that a pinned shard starts inherit its CPU, except those of
    /// [`to_thread`](crate::blocking::to_thread), of a
    /// [`ThreadPool`](crate::blocking::ThreadPool) and of the kernel.
    #[doc(alias = "sched_setaffinity")]
    pub fn pin(mut self, pin: bool) -> Self {
        self.placement.pin = Some(pin);
        self
    }

    /// Names the threads: `name` and the index of the shard, as `shard-0` by default.
    ///
    /// The kernel shows the first 15 bytes.
    ///
    /// # Panics
    ///
    /// If `name` contains a zero byte.
    #[track_caller]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        assert!(
            !self.name.contains('\0'),
            "`name` with a zero byte: the kernel would cut it there"
        );
        self
    }

    /// Sets the size of each thread's stack, in bytes.
    ///
    /// By default it is that of the standard library, 2 MiB.
    #[doc(alias = "thread_stack_size")]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Sets the request to end that all shards share ([`Shard::shutdown`]).
    ///
    /// By default they have one of their own, which no signal requests.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::{Shards, Shutdown};
    ///
    /// let shutdown = Shutdown::on_signals()?;
    /// # shutdown.request();
    /// Shards::builder().shutdown(shutdown).run(async |shard| {
    ///     shard.shutdown().requested().await;
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// [`Shard::shutdown`]: crate::shards::Shard::shutdown
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Sets what happens when a shard fails; [`OnFailure::Stop`] by default.
    ///
    /// A shard fails if its closure panics, or returns an error or another failure
    /// ([`ShardOutcome`](crate::shards::ShardOutcome)).
    #[doc(alias = "restart")]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Limits how long closures may continue when the shards stop for a failure.
    ///
    /// These are the closures of the shards that have not failed. 30 seconds by default.
    ///
    /// The [shutdown](Self::shutdown) is requested first. Then those that have not returned are
    /// cancelled. A closure that blocks its thread cannot be.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Makes the [`Builder`] of each shard's runtime, from the shard's index.
    ///
    /// By default every shard has the default configuration.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::{Builder, Shards};
    ///
    /// Shards::builder().count(2).runtime(|_| Builder::new().sq_entries(256)).run(async |_| ())?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    pub fn runtime(mut self, make: impl Fn(usize) -> Builder + Send + 'static) -> Self {
        self.runtime = Box::new(make);
        self
    }

    /// Limits how many calls of one shard to another may be under way; 256 by default.
    ///
    /// Further calls ([`Shard::run_on`](crate::shards::Shard::run_on)) wait until earlier ones are
    /// answered. The queues between `n` shards take about 48 bytes × `n`² × `calls`: a megabyte for
    /// 8 shards, 50 for 64. Rounded up to a power of two, for the memory.
    ///
    /// # Panics
    ///
    /// If `calls` is zero, or more than 2²⁰.
    #[doc(alias = "backpressure")]
    #[track_caller]
    pub fn queue_capacity(mut self, calls: usize) -> Self {
        assert!(calls > 0, "`queue_capacity` of zero: no shard could call another");
        assert!(calls <= 1 << 20, "`queue_capacity` of {calls}: at most {}", 1 << 20);
        self.queue_capacity = calls;
        self
    }
}

impl fmt::Debug for ShardsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardsBuilder")
            .field("placement", &self.placement)
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .field("shutdown", &self.shutdown)
            .field("on_failure", &self.on_failure)
            .field("stop_timeout", &self.stop_timeout)
            .field("queue_capacity", &self.queue_capacity)
            .finish_non_exhaustive()
    }
}
