//! hyper's timers on those of the runtime.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use annulus::task::ThreadBound;
use annulus::time;

/// hyper's timer: sleeps of the runtime of the current thread.
///
/// hyper demands that a sleep is `Send`, so it is a [`ThreadBound`]: polled on another thread it
/// panics, and dropped there it returns home. A sleep is two allocations, one for the box that
/// hyper's trait returns and one for the `ThreadBound`; a reset is none.
///
/// It reads the runtime's clock, which tests may [pause](annulus::time::pause).
///
/// # Panics
///
/// Its methods, if there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus_hyper::Timer;
/// use hyper::rt::Timer as _;
///
/// annulus::run(async {
///     let timer = Timer;
///     let mut sleep = timer.sleep(Duration::from_secs(60));
///     timer.reset(&mut sleep, timer.now() + Duration::from_millis(1));
///     sleep.await;
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(ThreadBound::new(time::sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep(ThreadBound::new(time::sleep_until(deadline))))
    }

    fn now(&self) -> Instant {
        time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        if let Some(its) = sleep.as_mut().downcast_mut_pin::<Sleep>() {
            if let Some(its) = its.get_mut().0.get_mut() {
                its.reset(deadline);
                return;
            }
        }
        *sleep = self.sleep_until(deadline);
    }
}

struct Sleep(ThreadBound<time::Sleep>);

impl hyper::rt::Sleep for Sleep {}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context)
    }
}
