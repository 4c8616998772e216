//! The graceful end of a server.

use std::time::Duration;

use super::registry::Registry;
use crate::time::timeout;

/// What became of the connections that a server had when it was shut down.
///
/// Those that had ended before are in neither number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// How many handlers ended within the grace period.
    pub completed: usize,
    /// How many connections were reset after it.
    ///
    /// Their handlers were cancelled, or had not begun, or the connections were in the backlog.
    pub aborted: usize,
}

/// Closes a server, waits for its connections, and aborts those that have not ended in time.
pub(super) async fn shutdown(registry: &Registry, grace: Duration) -> ShutdownReport {
    registry.close();
    let (ended_before, aborted_before) = (registry.ended(), registry.aborted_waiting());
    let in_time = timeout(grace, registry.wait_until(Registry::is_over)).await.is_ok();
    let completed = registry.ended() - ended_before;
    let aborted = if in_time { 0 } else { registry.abort_all() };
    registry.wait_until(Registry::is_over).await;
    ShutdownReport { completed, aborted: aborted + registry.aborted_waiting() - aborted_before }
}
