//! Waiting for a point in time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::{Driver, TimerKey};
use crate::runtime::context;
use crate::sys::later;

/// Waits for `duration`, counted from this call. Dropped, it leaves nothing behind.
///
/// Even a sleep of no duration lets other tasks have a turn.
///
/// # Panics
///
/// When polled, if there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use std::time::{Duration, Instant};
///
/// annulus::run(async {
///     let start = Instant::now();
///     annulus::time::sleep(Duration::from_millis(2)).await;
///     assert!(start.elapsed() >= Duration::from_millis(2));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.sleep")]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(later(context::now(), duration))
}

/// Waits until `deadline`; see [`sleep`].
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, timer: None }
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    timer: Option<(Rc<Driver>, TimerKey)>,
}

impl Sleep {
    /// When it is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether its time has come.
    pub fn is_elapsed(&self) -> bool {
        context::now() >= self.deadline
    }

    fn stop(&mut self) {
        if let Some((driver, key)) = self.timer.take() {
            driver.stop_timer(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_ref().is_some_and(|(driver, _)| driver.is_closing()) {
            // Its runtime has ended, and would never fire it: this thread's present one will.
            self.stop();
        }
        match &self.timer {
            Some((driver, key)) => {
                ready!(driver.poll_timer(*key, context.waker()));
                self.stop();
                Poll::Ready(())
            }
            None => {
                let driver = context::driver();
                let key = driver.start_timer(self.deadline, context.waker());
                self.timer = Some((driver, key));
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
