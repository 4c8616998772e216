//! The configuration of the shards.

use std::fmt;

use crate::runtime::Builder;

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
    count: Option<usize>,
    pub(super) name: String,
    pub(super) runtime: Box<dyn Fn(usize) -> Builder + Send>,
}

impl ShardsBuilder {
    fn new() -> Self {
        Self { count: None, name: "shard".into(), runtime: Box::new(|_| Builder::new()) }
    }

    /// Sets the number of shards.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    #[track_caller]
    pub fn count(mut self, count: usize) -> Self {
        assert!(count > 0, "`count` of zero: there is at least one shard");
        self.count = Some(count);
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

    /// How many shards there are.
    pub(super) fn shard_count(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.count.unwrap_or_else(available)
    }
}

impl fmt::Debug for ShardsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardsBuilder")
            .field("count", &self.count)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
