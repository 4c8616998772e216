//! Sleeping.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::poll_immediate;

use super::{Measured, Runtime};

/// How many timers are running while others are started and cancelled.
const STANDING: usize = 10_000;

/// Start and cancel, as every time-out does that is not reached.
pub(super) async fn start_cancel<R: Runtime>(operations: u64) -> Measured {
    const FAR: Duration = Duration::from_secs(3600);
    let mut standing: Vec<_> = (0..STANDING).map(|_| Box::pin(R::sleep(FAR))).collect();
    for sleep in &mut standing {
        assert!(poll_immediate(sleep).await.is_none());
    }
    Measured::of_future(operations, async {
        for _ in 0..operations {
            assert!(poll_immediate(pin!(R::sleep(FAR))).await.is_none());
        }
    })
    .await
}

/// Tasks that each sleep for a time within a tenth of a second, all at once.
pub(super) async fn sleep_many<R: Runtime>(operations: u64) -> Measured {
    Measured::of_future(operations, async {
        let handles: Vec<_> = (0..operations)
            .map(|number| R::spawn_sleep(Duration::from_micros(number * 7919 % 100_000)))
            .collect();
        for handle in handles {
            handle.await;
        }
    })
    .await
}

/// One sleep after the other, on a loop that has nothing else to do.
pub(super) async fn lateness<R: Runtime>(operations: u64) -> Measured {
    let mut lateness = Vec::with_capacity(operations as usize);
    let began = Instant::now();
    for number in 0..operations {
        // Odd times, so that they do not all fall on the ticks of a wheel.
        let asked = Duration::from_micros(1000 + number * 7919 % 4000);
        let before = Instant::now();
        R::sleep(asked).await;
        let late = before.elapsed().saturating_sub(asked);
        lateness.push(late.as_nanos() as u64);
    }
    Measured { lateness, ..Measured::of(operations, began.elapsed()) }
}
