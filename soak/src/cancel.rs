//! Dropping futures at random moments.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use annulus::time::timeout;
use annulus::yield_now;

use crate::chance::Chance;

/// Awaits a future, or drops it at a random moment: `None`.
#[track_caller]
pub(crate) fn perhaps<F: Future>(
    chance: &Chance,
    future: F,
) -> impl Future<Output = Option<F::Output>> {
    chance.here();
    at_random(chance, future)
}

async fn at_random<F: Future>(chance: &Chance, future: F) -> Option<F::Output> {
    match chance.below(10) {
        0 => after_polls(1, future).await,
        1 => after_polls(chance.between(2..6), future).await,
        2 => timeout(chance.shorter_than(Duration::from_millis(2)), future).await.ok(),
        _ => Some(future.await),
    }
}

/// Repeats what a cancel does not undo or lose anything of, until it is not cancelled.
#[track_caller]
pub(crate) fn insist<T>(
    chance: &Chance,
    mut operation: impl AsyncFnMut() -> T,
) -> impl Future<Output = T> {
    chance.here();
    async move {
        loop {
            if let Some(output) = at_random(chance, operation()).await {
                return output;
            }
        }
    }
}

/// Drops the future if it has not ended after `polls` polls, with a turn of the loop between them.
async fn after_polls<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let output = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = output {
            return Some(output);
        }
        yield_now().await;
    }
    None
}
