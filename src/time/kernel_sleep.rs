//! A sleep that is an entry of the ring.

use std::io;
use std::time::Duration;

use crate::op::{KernelTimeout, Op};
use crate::runtime::context;

/// Waits for `duration` by an entry of its own in the ring, counted from when the entry is
/// submitted, at the end of this turn.
///
/// [`sleep`](fn@super::sleep) is cheaper, and far cheaper when many sleep: the kernel keeps its
/// timeouts in a list. This one is as precise as the kernel's timers, and not rounded up to a tick.
///
/// # Errors
///
/// If the runtime has ended.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the entry is cancelled, and nothing is lost.
pub async fn kernel_sleep(duration: Duration) -> io::Result<()> {
    Op::new(&context::driver(), KernelTimeout::new(duration)).await
}
