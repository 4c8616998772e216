//! A time limit that can be moved while it runs.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use super::sleep::Sleep;
use super::timeout::{Elapsed, begin};

/// Runs `body` until `deadline`, which it can move by the [`TimeoutScope`] that it is given. `None` is
/// no deadline, until one is set. When the time is up the body is dropped, which cancels it.
///
/// A body that ends without ever waiting counts as in time, whatever the deadline, as one does that is
/// ready when the time is up. Under a deadline that has passed already the body ends where it first waits.
/// Deadlines are by [`now`](super::now()), as in [`timeout_at`](super::timeout_at).
///
/// Scopes may be nested; the deadline of an inner one is an error in the body of the outer, and the
/// other way round an inner scope is dropped with the body that it is in.
/// In asyncio the body could catch its cancellation and go on; here it cannot.
///
/// # Errors
///
/// [`Elapsed`] if the time was up.
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
///             // Something has come in: wait for the next as long again.
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

/// The deadline of a [`timeout_scope`], as its body has it.
#[derive(Debug)]
pub struct TimeoutScope {
    deadline: Cell<Option<Instant>>,
}

impl TimeoutScope {
    /// When the time will be up.
    #[doc(alias = "asyncio.Timeout.when")]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get()
    }

    /// Moves the deadline, to any time, or takes it away.
    #[doc(alias = "asyncio.Timeout.reschedule")]
    pub fn reschedule(&self, deadline: impl Into<Option<Instant>>) {
        self.deadline.set(deadline.into());
    }

    /// Waits in `sleep` for the deadline, wherever it is now. Only the body moves it, and has been
    /// polled before this is.
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
