//! Letting other tasks run.

use std::future::poll_fn;
use std::task::Poll;

/// Lets every task that is ready now be polled before this one continues.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let task = annulus::spawn(async {});
///     annulus::yield_now().await;
///     assert!(task.is_finished());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.sleep(0)")]
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
