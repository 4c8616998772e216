//! The clock, which tests can stop.

use std::time::{Duration, Instant};

use crate::runtime::{context, yield_now};

/// Returns the time by which deadlines are measured.
///
/// It is the system's time, unless the clock has been [paused](pause).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::time::{now, sleep};
///
/// let runtime = annulus::Runtime::builder().start_paused(true).build()?;
/// runtime.block_on(async {
///     let before = now();
///     sleep(Duration::from_secs(60)).await;
///     assert!(now() - before >= Duration::from_secs(60));
/// });
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.loop.time")]
pub fn now() -> Instant {
    context::now()
}

/// Stops the clock of this thread's runtime, for tests.
///
/// The clock then jumps to the next deadline whenever no task is ready and no completion has
/// arrived. So sleeping an hour takes a moment, and deadlines are met in order and exactly. A
/// deadline that no clock can represent, as that of a sleep of [`Duration::MAX`], is never met.
/// Time still passes normally for real work: while operations are in flight, the kernel has ten
/// milliseconds to complete one before each jump, and while a closure runs on a thread
/// ([`to_thread`](crate::blocking::to_thread)), time passes at its usual pace. Threads that the
/// program itself starts are not taken into account.
///
/// # Real peers
///
/// A peer in another thread, process or machine does not stop with the clock, so the two race. It
/// has ten milliseconds before each jump; on a busy machine an answer may take longer, and the
/// timeout that waits for it then elapses. In a test that must not fail then, put the peer in the
/// same runtime and connect it without sockets (by queues, for example), or [`resume`] the clock
/// while it waits.
///
/// [`kernel_sleep`](super::kernel_sleep()) and time limits inside the kernel follow the system's
/// clock.
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn pause() {
    context::driver().timers().pause_clock();
}

/// Restarts a paused clock, from its present time and at its usual pace.
///
/// From then on it is ahead of the system's clock by what it was moved, and behind by how long it
/// was paused. So compute deadlines from [`now`], not from [`Instant::now`].
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn resume() {
    context::driver().timers().resume_clock();
}

/// Moves a paused clock forward.
///
/// Tasks whose deadlines have passed by then are polled.
///
/// It moves by at most a thousand years.
///
/// # Panics
///
/// If there is no runtime on this thread, or its clock is not paused.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::time::{advance, sleep};
///
/// let runtime = annulus::Runtime::builder().start_paused(true).build()?;
/// runtime.block_on(async {
///     let task = annulus::spawn(sleep(Duration::from_secs(60)));
///     advance(Duration::from_secs(59)).await;
///     assert!(!task.is_finished());
///     advance(Duration::from_secs(2)).await;
///     assert!(task.is_finished());
/// });
/// # Ok::<(), annulus::SetupError>(())
/// ```
pub async fn advance(duration: Duration) {
    let driver = context::driver();
    assert!(
        driver.timers().is_clock_paused(),
        "only a paused clock can be moved: call `pause` before `advance`"
    );
    // Tasks that are ready now begin their sleeps at the old time.
    yield_now().await;
    driver.advance_clock(duration);
    yield_now().await;
}
