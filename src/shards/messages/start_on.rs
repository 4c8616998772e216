//! Starting a task on another shard, whose queue of calls may be full.

use std::time::Duration;

use crate::runtime::{RemoteJoinHandle, SpawnError};
use crate::shards::Shard;
use crate::task::JoinError;
use crate::time::sleep;

/// How often a full queue is tried again. It is that of a shard which is far behind.
const FULL_CHECK: Duration = Duration::from_millis(1);

/// Starts a task on a shard. Waits while that shard's queue is full.
pub(super) async fn start_on<F, R>(
    shard: &Shard,
    index: usize,
    closure: F,
) -> Result<RemoteJoinHandle<R>, JoinError>
where
    F: AsyncFnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let mut start = move || async move { closure().await };
    loop {
        match shard.handle(index).spawn(start) {
            Ok(task) => return Ok(task),
            Err(SpawnError::Full(back)) => start = back,
            Err(_) => return Err(JoinError::Ended),
        }
        sleep(FULL_CHECK).await;
    }
}
