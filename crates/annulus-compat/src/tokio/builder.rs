//! The configuration of the runtime beside.

use std::io;
use std::time::Duration;

use super::entry::Beside;

/// Configures the Tokio runtime beside, before its first use.
///
/// # Example
///
/// ```
/// use annulus_compat::tokio::Builder;
///
/// let _tokio = Builder::new().worker_threads(2).thread_name("io-beside").beside()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a configuration starts nothing; call `beside`"]
pub struct Builder {
    pub(super) worker_threads: usize,
    pub(super) max_blocking_threads: usize,
    pub(super) thread_name: String,
    pub(super) stop_timeout: Duration,
}

impl Builder {
    /// Returns the default configuration, which is that of [`beside`](super::beside).
    pub fn new() -> Self {
        Self {
            worker_threads: 1,
            max_blocking_threads: 512,
            thread_name: "tokio-beside".into(),
            stop_timeout: Duration::from_secs(5),
        }
    }

    /// Sets the number of Tokio's worker threads; 1 by default.
    ///
    /// One thread is enough for what waits most of its time. More are for libraries that compute in
    /// their own tasks.
    ///
    /// # Panics
    ///
    /// If `threads` is zero.
    #[track_caller]
    pub fn worker_threads(mut self, threads: usize) -> Self {
        assert!(threads > 0, "`worker_threads` of zero: no thread would run Tokio's tasks");
        self.worker_threads = threads;
        self
    }

    /// Limits the threads that `tokio::task::spawn_blocking` starts; 512 by default, as Tokio's.
    ///
    /// # Panics
    ///
    /// If `threads` is zero.
    #[track_caller]
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        assert!(threads > 0, "`max_blocking_threads` of zero: `spawn_blocking` would run nothing");
        self.max_blocking_threads = threads;
        self
    }

    /// Names Tokio's threads; `tokio-beside` by default. The kernel shows the first 15 bytes.
    ///
    /// # Panics
    ///
    /// If `name` contains a zero byte.
    #[track_caller]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        assert!(!self.thread_name.contains('\0'), "`thread_name` with a zero byte");
        self
    }

    /// Limits how long the drop of the last guard waits for Tokio to stop; 5 seconds by default.
    ///
    /// It waits for tasks that do not yield and for closures of `spawn_blocking` that have begun.
    /// What then still runs keeps its threads, and standard error says so.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout;
        self
    }

    /// Starts Tokio with this configuration and enters it on this thread, as
    /// [`beside`](super::beside) does.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if Tokio is running already. Otherwise as
    /// [`try_beside`](super::try_beside).
    pub fn beside(&self) -> io::Result<Beside> {
        Beside::enter_first(self)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
