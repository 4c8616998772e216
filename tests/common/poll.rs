//! Futures that are polled a few times and then dropped or kept.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use annulus::pipe::pipe;

/// Polls a future once, as part of the calling task.
pub(crate) async fn once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

/// Polls a future `polls` times, with the other tasks between, and drops it right after the last.
/// `None` if it has not ended. Where [`max_polls_per_turn`](annulus::Builder::max_polls_per_turn)
/// is one and the calling task is alone, the loop enters the kernel between two polls.
pub(crate) async fn times<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for poll in 0..polls {
        if poll > 0 {
            annulus::yield_now().await;
        }
        if let Poll::Ready(output) = once(future.as_mut()).await {
            return Some(output);
        }
    }
    None
}

/// Lets the other tasks run, and the loop enter the kernel as above, in `turns` turns.
pub(crate) async fn yield_times(turns: usize) {
    for _ in 0..turns {
        annulus::yield_now().await;
    }
}

/// Yields until a condition holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        annulus::yield_now().await;
    }
}

/// Waits until the loop has waited once: from then on its bell is an operation in the kernel. (A
/// sleep may be over before the loop comes to wait.)
pub(crate) async fn until_bell_is_polled() {
    while annulus::metrics().in_kernel == 0 {
        annulus::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the ring has learnt of everything that has happened to descriptors before. A sleep
/// says less: it may be over before the loop comes to wait, and where it does not wait, the
/// portable ring does not look at each turn.
pub(crate) async fn until_ring_has_looked() {
    let (mut sender, receiver) = pipe().unwrap();
    let mut readable = pin!(receiver.readable());
    assert!(once(readable.as_mut()).await.is_pending());
    until(|| annulus::metrics().queued == 0).await;
    sender.write_all("x").await.0.unwrap();
    readable.await.unwrap();
}
