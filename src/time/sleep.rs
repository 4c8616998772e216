//! Waiting for a point in time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::{Driver, TimerKey};
use crate::runtime::context;
use crate::sys::saturating_deadline;
use crate::task::budget;

/// Waits for `duration`, counted from this call. Dropped, it leaves nothing behind.
///
/// Even a sleep of no duration lets other tasks have a turn. One that is longer than any clock can hold,
/// as [`Duration::MAX`] is, never ends, also when the clock is [paused](super::pause).
///
/// # Panics
///
/// When polled, if there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it leaves nothing behind. Awaited by reference, it goes on where it was.
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
    sleep_until(saturating_deadline(context::now(), duration))
}

/// Waits until `deadline`; see [`sleep`].
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, state: State::Idle }
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    state: State,
}

enum State {
    /// There is no timer.
    Idle,
    /// There is no timer, and no turn of the loop is waited for: see [`Sleep::limit`].
    Over,
    Running {
        driver: Rc<Driver>,
        key: TimerKey,
        /// Whether it has yielded once at its end for want of budget.
        has_yielded: bool,
    },
}

impl Sleep {
    /// A sleep that limits something else: if its deadline has passed already, no turn of the loop is
    /// waited for.
    pub(super) fn limit(deadline: Instant) -> Self {
        let is_over = context::now() >= deadline;
        Self { deadline, state: if is_over { State::Over } else { State::Idle } }
    }

    /// [`limit`](Self::limit) in so much time.
    pub(super) fn limit_within(duration: Duration) -> Self {
        let deadline = saturating_deadline(context::now(), duration);
        Self { deadline, state: if duration.is_zero() { State::Over } else { State::Idle } }
    }

    /// When it is over.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether its time has come.
    pub fn is_elapsed(&self) -> bool {
        context::now() >= self.deadline
    }

    /// Moves the deadline, also of a sleep that has ended: then it can be awaited again.
    ///
    /// A task that awaits it is woken at the new deadline. This is cheaper than a new sleep.
    ///
    /// # Example
    ///
    /// A limit for silence, not for the whole:
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::time::Duration;
    /// use annulus::time::{now, sleep};
    /// use futures_util::future::{Either, select};
    ///
    /// annulus::run(async {
    ///     let limit = Duration::from_millis(50);
    ///     let mut silence = sleep(limit);
    ///     for _ in 0..3 {
    ///         let message = pin!(sleep(limit / 2));
    ///         match select(message, &mut silence).await {
    ///             Either::Left(_) => silence.reset(now() + limit),
    ///             Either::Right(_) => panic!("silence"),
    ///         }
    ///     }
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        match &mut self.state {
            State::Running { driver, key, has_yielded } => {
                driver.restart_timer(*key, deadline);
                *has_yielded = false;
            }
            state => *state = State::Idle,
        }
    }

    fn stop(&mut self) {
        if let State::Running { driver, key, .. } = std::mem::replace(&mut self.state, State::Idle)
        {
            driver.stop_timer(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &self.state {
            // If its budget is used up, it may be that what this limits was not tried: once more, then.
            State::Over if budget::try_spend() => {
                self.state = State::Idle;
                return Poll::Ready(());
            }
            // Its runtime has ended, or another one of this thread is running: the former would not fire
            // it, so the latter will.
            State::Running { driver, .. } if !context::is_current(driver) => self.stop(),
            State::Idle | State::Over | State::Running { .. } => {}
        }
        if let State::Running { driver, key, has_yielded } = &mut self.state {
            ready!(driver.poll_timer(*key, context.waker()));
            // Without a budget, the others that its task polls were not tried: they have one more chance.
            // But only one, or they could keep this from ending.
            if !*has_yielded {
                *has_yielded = true;
                ready!(budget::poll_spend(context));
            }
            self.stop();
            return Poll::Ready(());
        }
        let driver = context::driver();
        let key = driver.start_timer(self.deadline, context.waker());
        self.state = State::Running { driver, key, has_yielded: false };
        Poll::Pending
    }
}

impl Drop for Sleep {
    #[inline]
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
