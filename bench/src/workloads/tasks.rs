//! Spawning, joining, yielding and waking.

use super::signal::Signal;
use super::{Measured, Runtime};

/// How many tasks are spawned before the first is joined.
const GATHERED: u64 = 1000;

pub(super) async fn spawn_join<R: Runtime>(operations: u64) -> Measured {
    Measured::of_future(operations, async {
        for number in 0..operations {
            assert_eq!(R::spawn(async move { number }).await, number);
        }
    })
    .await
}

pub(super) async fn spawn_many<R: Runtime>(operations: u64) -> Measured {
    let rounds = operations.div_ceil(GATHERED);
    let mut handles = Vec::with_capacity(GATHERED as usize);
    Measured::of_future(rounds * GATHERED, async {
        for _ in 0..rounds {
            handles.extend((0..GATHERED).map(|number| R::spawn(async move { number })));
            for (expected, handle) in handles.drain(..).enumerate() {
                assert_eq!(handle.await, expected as u64);
            }
        }
    })
    .await
}

pub(super) async fn gather<R: Runtime>(operations: u64) -> Measured {
    let rounds = operations.div_ceil(GATHERED);
    Measured::of_future(rounds * GATHERED, async {
        for _ in 0..rounds {
            let futures = (0..GATHERED).map(|number| async move {
                R::yield_now().await;
                number
            });
            let numbers = R::gather(futures.collect()).await;
            assert_eq!(numbers.iter().sum::<u64>(), GATHERED * (GATHERED - 1) / 2);
        }
    })
    .await
}

pub(super) async fn yielding<R: Runtime>(operations: u64) -> Measured {
    // In a task of its own: the future that a runtime is started with is a special case in some.
    let work = async move {
        for _ in 0..operations {
            R::yield_now().await;
        }
    };
    Measured::of_future(operations, R::spawn(work)).await
}

/// Tasks in a ring, each of which waits for its signal and raises the next one's.
pub(super) async fn ring<R: Runtime>(operations: u64, tasks: usize) -> Measured {
    let rounds = operations.div_ceil(tasks as u64);
    let signals: Vec<Signal> = (0..tasks).map(|_| Signal::default()).collect();
    let handles: Vec<_> = (0..tasks)
        .map(|place| {
            let own = signals[place].clone();
            let next = signals[(place + 1) % tasks].clone();
            R::spawn(async move {
                for _ in 0..rounds {
                    own.wait().await;
                    next.raise();
                }
            })
        })
        .collect();
    Measured::of_future(rounds * tasks as u64, async {
        signals[0].raise();
        for handle in handles {
            handle.await;
        }
    })
    .await
}
