//! Calls of one thread to others, each of which runs its own runtime, and their answers.

use std::cell::Cell;
use std::future::Future;

use super::{Measured, Workload};

/// How many calls a batch has.
pub(crate) const BATCH: u64 = 1000;

/// How many threads there are. Only a broadcast calls more than the second.
pub(crate) const THREADS: usize = 4;

/// The thread that calls others.
pub(crate) trait Caller {
    /// Calls [`work`] on another thread, `times` times at once, and returns the sum of the answers.
    fn call(&mut self, thread: usize, times: u64) -> impl Future<Output = u64>;

    /// Has every other thread do [`work`] once, all at the same time, and returns the sum of the
    /// answers.
    fn broadcast(&mut self) -> impl Future<Output = u64>;
}

/// What is called: it counts its calls on this thread, and answers with one.
pub(crate) fn work() -> u64 {
    thread_local! {
        static CALLS: Cell<u64> = const { Cell::new(0) };
    }
    CALLS.set(CALLS.get() + 1);
    1
}

/// Does a workload. The first calls, which only start things, are not measured.
pub(crate) async fn measure(
    workload: Workload,
    operations: u64,
    mut caller: impl Caller,
) -> Measured {
    assert_eq!(caller.call(1, 1).await, 1);
    match workload {
        Workload::CrossCall => {
            Measured::of_future(operations, async {
                for _ in 0..operations {
                    assert_eq!(caller.call(1, 1).await, 1);
                }
            })
            .await
        }
        Workload::CrossBatch => {
            let batches = operations.div_ceil(BATCH);
            Measured::of_future(batches * BATCH, async {
                for _ in 0..batches {
                    assert_eq!(caller.call(1, BATCH).await, BATCH);
                }
            })
            .await
        }
        Workload::CrossBroadcast => {
            assert_eq!(caller.broadcast().await, THREADS as u64 - 1);
            Measured::of_future(operations, async {
                for _ in 0..operations {
                    assert_eq!(caller.broadcast().await, THREADS as u64 - 1);
                }
            })
            .await
        }
        _ => unreachable!("the others need one thread"),
    }
}

/// How many threads a workload has.
pub(crate) fn threads(workload: Workload) -> usize {
    if workload == Workload::CrossBroadcast { THREADS } else { 2 }
}
