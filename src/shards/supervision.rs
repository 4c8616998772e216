//! Watching over shards that run: when one fails, the others are stopped.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::shard::Run;

/// The closure of a shard has ended for good.
pub(super) struct Ended {
    shard: usize,
    has_failed: bool,
}

/// Reports the end of a shard's closure, also if its thread panics.
pub(super) struct EndGuard<'a> {
    pub(super) shard: usize,
    pub(super) has_failed: bool,
    pub(super) run: &'a Run,
    pub(super) ends: &'a Sender<Ended>,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        let _ = self.ends.send(Ended { shard: self.shard, has_failed: self.has_failed });
        self.run.end.arrive();
    }
}

/// Returns when all closures have ended. After a failure requests the shutdown, and cancels what
/// has not ended within the timeout.
pub(super) fn supervise(run: &Run, ends: &Receiver<Ended>, stop_timeout: Duration) {
    let mut running: BTreeSet<usize> = (0..run.handles.len()).collect();
    let (mut is_stopping, mut deadline) = (false, None::<Instant>);
    while !running.is_empty() {
        let end = match deadline {
            None => ends.recv().map_err(RecvTimeoutError::from),
            Some(deadline) => ends.recv_timeout(deadline.saturating_duration_since(Instant::now())),
        };
        match end {
            Ok(Ended { shard, has_failed }) => {
                running.remove(&shard);
                if has_failed && !is_stopping {
                    is_stopping = true;
                    run.shutdown.request();
                    // Without one that a clock can represent, there is none.
                    deadline = Instant::now().checked_add(stop_timeout);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                running.iter().for_each(|&shard| run.handles[shard].stop());
                deadline = None;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
