//! A time limit that can be moved while it runs.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use super::sleep::Sleep;
use super::timeout::{Elapsed, begin};

/// Runs `body` until a deadline, which the body can move.
///
/// The body moves it by the [`TimeoutScope`] that it is given. `None` is no deadline, until one is
/// set. When the deadline has elapsed, the body is dropped, which cancels it. Compute deadlines
/// from [`now`](super::now()), as for [`timeout_at`](super::timeout_at).
///
/// A body that completes without waiting succeeds even if the deadline has passed, and so does one
/// that is ready by the deadline. If the deadline has already passed, the body is dropped where it
/// first waits.
///
/// Scopes can be nested: when the inner deadline elapses, the outer body gets an error; when the
/// outer one elapses, the inner scope is dropped with the body. In asyncio the body could catch its
/// cancellation and continue; here it cannot.
///
/// # Errors
///
/// [`Elapsed`] if the deadline has elapsed.
///
/// # Cancel safety
///
/// That of the body.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::time::{now, sleep, timeout_scope};
///
/// annulus::run(async {
///     let limit = Duration::from_millis(50);
///     let outcome = timeout_scope(now() + limit, async |scope| {
///         for _ in 0..3 {
///             sleep(limit / 2).await;
///             // A message has arrived: allow the same time for the next one.
///             scope.reschedule(now() + limit);
///         }
///         sleep(limit * 100).await;
///     });
///     assert!(outcome.await.is_err());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.timeout")]
#[doc(alias = "asyncio.timeout_at")]
pub async fn timeout_scope<T>(
    deadline: impl Into<Option<Instant>>,
    body: impl AsyncFnOnce(&TimeoutScope) -> T,
) -> Result<T, Elapsed> {
    let scope = TimeoutScope { deadline: Cell::new(deadline.into()) };
    begin().await;
    let mut body = pin!(body(&scope));
    let mut sleep = None;
    poll_fn(|context| match body.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => scope.poll_deadline(&mut sleep, context).map(|()| Err(Elapsed)),
    })
    .await
}

/// Reads and moves the deadline of a [`timeout_scope`], for its body.
#[derive(Debug)]
pub struct TimeoutScope {
    deadline: Cell<Option<Instant>>,
}

impl TimeoutScope {
    /// The present deadline.
    #[doc(alias = "asyncio.Timeout.when")]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }

    /// Moves the deadline to any time, or removes it.
    #[doc(alias = "asyncio.Timeout.reschedule")]
    pub fn reschedule(&self, deadline: impl Into<Option<Instant>>) {
        self.deadline.set(deadline.into());
    }

    /// Waits for the present deadline. Only the body moves it, and the body is polled before this.
    fn poll_deadline(&self, sleep: &mut Option<Sleep>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.get();
        if sleep.as_ref().map(Sleep::deadline) != deadline {
            *sleep = deadline.map(Sleep::limit);
        }
        match sleep {
            Some(sleep) => Pin::new(sleep).poll(context),
            None => Poll::Pending,
        }
    }
}
