//! Giving up after a while.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{error, fmt, io};

use super::sleep::{Sleep, sleep, sleep_until};

/// The time was up before the future had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up")
    }
}

impl error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// Awaits a future for at most `limit`, counted from this call. When the time is up the future is
/// dropped, which cancels it. A future that is ready when the time is up counts as in time.
///
/// # Errors
///
/// [`Elapsed`] if the time was up.
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
    before(sleep(limit), future.into_future())
}

/// Awaits a future until `deadline`; see [`timeout`].
///
/// # Errors
///
/// [`Elapsed`] if the time was up.
#[doc(alias = "asyncio.timeout_at")]
pub fn timeout_at<F: IntoFuture>(
    deadline: Instant,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    before(sleep_until(deadline), future.into_future())
}

/// Awaits a future for at most `limit`, counted from this call, or without a limit; see [`timeout`].
///
/// The future is polled at least once, also if there is no time at all; asyncio would not begin it
/// then. A future whose time is up is dropped at once, so unlike in asyncio there is no waiting for its
/// end, and it cannot refuse. The task of a handle given by value is cancelled.
///
/// # Errors
///
/// [`Elapsed`] if the time was up.
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
    // Both at once: a handle is owned also before the first poll, and the time runs.
    let (future, limit) = (future.into_future(), limit.into().map(sleep));
    async move {
        match limit {
            Some(sleep) => before(sleep, future).await,
            None => Ok(future.await),
        }
    }
}

async fn before<F: Future>(mut sleep: Sleep, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => pin!(&mut sleep).poll(context).map(|()| Err(Elapsed)),
    })
    .await
}
