//! Waiting for a signal.

use std::future::Future;
use std::io;
use std::os::fd::RawFd;

use super::context;
use crate::op::{Op, PollOnce};
use crate::sys::poll::READABLE;
use crate::sys::signals::SignalListener;

/// Waits for a signal. Listens from the call on.
pub(crate) fn signal(number: i32) -> impl Future<Output = io::Result<()>> {
    let listener = SignalListener::new(&[number], 1);
    async move {
        let listener = listener?;
        rung(listener.bell(1)).await
    }
}

/// Waits until a bell of a listener has been rung. The bell is permanent, so the future does not
/// borrow the listener.
pub(crate) async fn rung(bell: RawFd) -> io::Result<()> {
    Op::new(&context::driver(), PollOnce::of_permanent(bell, READABLE)).await.map(drop)
}
