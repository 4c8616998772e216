//! The clock, which tests may stop.

use std::time::{Duration, Instant};

use crate::runtime::{context, yield_now};

/// The time that deadlines are measured by: the system's, unless the clock has been [paused](pause).
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
/// It then jumps to the next deadline whenever nothing is ready and nothing has come: sleeping an hour
/// takes a moment, and deadlines come in their order and at their exact times. A deadline that no clock
/// can hold, as that of a sleep of [`Duration::MAX`] is, never comes. What is real stays so: while
/// operations are in flight the kernel has ten milliseconds to complete one before each jump, and while a
/// closure runs on a thread ([`to_thread`](crate::to_thread)) time goes at its usual pace. Other threads of
/// one's own, which wake tasks here, are not known to it.
///
/// # Real peers
///
/// A peer in another thread, process or machine does not stop with the clock, so the two race. Each jump
/// gives it ten milliseconds; on a busy machine an answer may take longer, and then the limit that waits
/// for it is up. A test that must not fail there has its peer in the same runtime and without sockets
/// (queues, say), or lets the clock go ([`resume`]) while it waits for one.
///
/// [`kernel_sleep`](super::kernel_sleep()), and limits that hold inside the kernel, go by the system's clock.
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn pause() {
    context::driver().stop_clock();
}

/// Lets a paused clock go on from where it stands, at its usual pace.
///
/// From then on it is ahead of the system's by what it was moved, and behind by how long it was paused:
/// deadlines are to be made of [`now`], not of [`Instant::now`].
///
/// # Panics
///
/// If there is no runtime on this thread.
#[track_caller]
pub fn resume() {
    context::driver().start_clock();
}

/// Moves a paused clock, and lets all whose deadlines have come by that have their turn. A move is a
/// thousand years at most.
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
    assert!(driver.is_clock_stopped(), "only a paused clock can be moved");
    // Those that are ready now begin their sleeps before, by the old time.
    yield_now().await;
    driver.advance_clock(duration);
    yield_now().await;
}
