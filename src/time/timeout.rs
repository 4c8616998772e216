//! Time limits.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{error, fmt, io};

use super::sleep::Sleep;
use crate::task::coop;

/// The deadline elapsed before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline elapsed")
    }
}

impl error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// Awaits a future for at most `limit`, counted from this call.
///
/// When `limit` has elapsed, the future is dropped, which cancels it. A future that is ready by
/// then succeeds. With a limit of zero the future is polled once, and succeeds if it does not wait.
/// [`Duration::MAX`] is no limit, not even when the clock is [paused](super::pause).
///
/// # Errors
///
/// [`Elapsed`] if `limit` has elapsed.
///
/// # Panics
///
/// When polled, if there is no runtime on this thread.
///
/// # Cancel safety
///
/// That of the future.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::time::{sleep, timeout};
///
/// annulus::run(async {
///     assert!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await.is_err());
///     assert_eq!(timeout(Duration::from_secs(9), async { 5 }).await, Ok(5));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.timeout")]
pub fn timeout<F: IntoFuture>(
    limit: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    before(Sleep::limit_within(limit), future.into_future())
}

/// Awaits a future until `deadline`; otherwise like [`timeout`].
///
/// Compute the deadline from [`now`](super::now()). [`Instant::now`] is the same until a clock has
/// been [paused](super::pause): a deadline computed from it may then have passed already, or come
/// late.
///
/// # Errors
///
/// [`Elapsed`] if the deadline has elapsed.
///
/// # Panics
///
/// When polled, if there is no runtime on this thread.
///
/// # Cancel safety
///
/// That of the future.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::time::{now, sleep, timeout_at};
///
/// annulus::run(async {
///     // One deadline for several steps.
///     let deadline = now() + Duration::from_secs(9);
///     for _ in 0..3 {
///         timeout_at(deadline, sleep(Duration::from_millis(1))).await.unwrap();
///     }
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.timeout_at")]
pub fn timeout_at<F: IntoFuture>(
    deadline: Instant,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    before(Sleep::limit(deadline), future.into_future())
}

/// Is [`timeout`] with its arguments swapped, as in asyncio, and an optional limit.
///
/// Unlike in asyncio, the future is polled once even with a limit of zero, and succeeds if it does
/// not wait. When the limit has elapsed, the future is dropped at once: there is no waiting for its
/// end, and it cannot refuse. The task of a handle given by value is cancelled.
///
/// # Errors
///
/// [`Elapsed`] if the limit has elapsed.
///
/// # Cancel safety
///
/// That of the future.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::time::wait_for;
///
/// annulus::run(async {
///     assert_eq!(wait_for(async { 5 }, None).await, Ok(5));
///     let limit = Duration::from_millis(1);
///     assert!(wait_for(std::future::pending::<()>(), limit).await.is_err());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.wait_for")]
pub fn wait_for<F: IntoFuture>(
    future: F,
    limit: impl Into<Option<Duration>>,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    // Not in the async block: the future owns a handle, and the time runs, even before the first
    // poll.
    let (future, limit) = (future.into_future(), limit.into().map(Sleep::limit_within));
    async move {
        match limit {
            Some(sleep) => before(sleep, future).await,
            None => {
                begin().await;
                Ok(future.await)
            }
        }
    }
}

/// Spends budget, since the future may spend none: a task that limits many ready futures yields.
pub(super) async fn begin() {
    poll_fn(|context| coop::poll_spend(context)).await;
}

async fn before<F: Future>(mut sleep: Sleep, future: F) -> Result<F::Output, Elapsed> {
    begin().await;
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => pin!(&mut sleep).poll(context).map(|()| Err(Elapsed)),
    })
    .await
}
