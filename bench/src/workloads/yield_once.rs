//! Yielding, the same for all, and for the runtimes that have no word of their own for it.

use std::future::{Future, poll_fn};
use std::task::Poll;

/// Wakes its own task and lets others run first.
pub(crate) fn yield_once() -> impl Future<Output = ()> + Send {
    let mut yielded = false;
    poll_fn(move |context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
}
