//! The orderly end of a server, in three steps: its handlers end on their own; then each meets EOF;
//! then they are cancelled, and their connections reset.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::select;

use super::registry::Registry;
use super::report::ShutdownReport;
use crate::join::CancelToken;
use crate::shutdown::Shutdown;
use crate::time::timeout;

/// How a server ends; see [`Server::serve_until`](super::Server::serve_until).
///
/// The defaults together are below the ten seconds that Docker gives a container.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::net::ShutdownOptions;
///
/// let options = ShutdownOptions::new()
///     .grace(Duration::from_secs(25))
///     .soft_grace(Duration::from_secs(3));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ShutdownOptions {
    grace: Duration,
    soft_grace: Duration,
    soft_cancel: Option<CancelToken>,
}

impl Default for ShutdownOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ShutdownOptions {
    /// The defaults, which each method describes.
    pub const fn new() -> Self {
        Self {
            grace: Duration::from_secs(5),
            soft_grace: Duration::from_secs(2),
            soft_cancel: None,
        }
    }

    /// Sets how long handlers may continue undisturbed; 5 seconds by default.
    ///
    /// A handler that wants to end earlier, between two requests, looks at the
    /// [`Shutdown`]: [`run_until_requested`](Shutdown::run_until_requested).
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long handlers may continue once they were soft-cancelled.
    ///
    /// 2 seconds by default.
    ///
    /// When [`grace`](Self::grace) is over, the receive side of every connection is shut down: the
    /// handlers meet EOF after reading what has arrived, and may still write. So a handler that
    /// knows nothing of a shutdown ends as if its client had. Those that have not ended after this
    /// time are aborted. Zero skips this step.
    pub const fn soft_grace(mut self, grace: Duration) -> Self {
        self.soft_grace = grace;
        self
    }

    /// Sets a token that is cancelled, too, when connections are soft-cancelled.
    ///
    /// This is for handlers that wait for something else than their clients, and so do not meet
    /// EOF.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::join::CancelToken;
    /// use annulus::net::ShutdownOptions;
    /// use annulus::sync::Queue;
    ///
    /// /// The next message for a client, or `None` when its connection is to end.
    /// async fn next(messages: &Queue<String>, ending: &CancelToken) -> Option<String> {
    ///     ending.run_until_cancelled(messages.get()).await?.ok()
    /// }
    ///
    /// let ending = CancelToken::new();
    /// let options = ShutdownOptions::new().soft_cancel(&ending);
    /// # let _ = options;
    /// ```
    pub fn soft_cancel(mut self, token: &CancelToken) -> Self {
        self.soft_cancel = Some(token.clone());
        self
    }
}

/// Serves until a shutdown is requested, or the server is closed; then ends it.
pub(super) async fn serve_until(
    registry: &Registry,
    shutdown: &Shutdown,
    options: &ShutdownOptions,
) -> ShutdownReport {
    let closed = pin!(registry.wait_until(|registry| !registry.is_serving()));
    select(pin!(shutdown.requested()), closed).await;
    end(registry, options, shutdown.forced()).await
}

/// Ends a server without the second step.
pub(super) async fn shutdown(registry: &Registry, grace: Duration) -> ShutdownReport {
    let options = ShutdownOptions::new().grace(grace).soft_grace(Duration::ZERO);
    end(registry, &options, std::future::pending()).await
}

/// Closes a server, waits for its connections, soft-cancels those that do not end in time, and then
/// aborts the rest; at once when it is `forced`.
async fn end(
    registry: &Registry,
    options: &ShutdownOptions,
    forced: impl Future<Output = ()>,
) -> ShutdownReport {
    registry.close();
    let (ended_before, aborted_before) = (registry.ended(), registry.aborted_waiting());
    let mut soft_cancelled_at = None;
    {
        let in_order = pin!(async {
            let over = || registry.wait_until(Registry::is_over);
            if timeout(options.grace, over()).await.is_ok() || options.soft_grace.is_zero() {
                return;
            }
            soft_cancelled_at = Some(registry.ended());
            registry.soft_cancel();
            options.soft_cancel.iter().for_each(CancelToken::cancel);
            let _ = timeout(options.soft_grace, over()).await;
        });
        select(in_order, pin!(forced)).await;
    }
    let ended = registry.ended();
    let in_time = soft_cancelled_at.unwrap_or(ended);
    let aborted = if registry.is_over() { 0 } else { registry.abort_all() };
    registry.wait_until(Registry::is_over).await;
    ShutdownReport {
        completed: in_time - ended_before,
        soft_cancelled: ended - in_time,
        aborted: aborted + registry.aborted_waiting() - aborted_before,
    }
}
