//! Waiting on a thread that runs no event loop.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::current::is_in_task;
use super::running::running;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until a future has completed.
///
/// # Panics
///
/// Inside of a runtime: in a task, in a closure that another shard sent, in a destructor while the
/// runtime ends. That would block the event loop, and perhaps the task that it waits for. The panic
/// names the `function` that was called and the `instead` that waits asynchronously.
#[track_caller]
pub(crate) fn block_on<F: Future>(future: F, function: &str, instead: &str) -> F::Output {
    assert!(
        !is_in_task(),
        "`{function}` called in a task: it would block the event loop; use `{instead}`"
    );
    assert!(
        running().is_none(),
        "`{function}` called inside of a runtime: it would block the event loop; use `{instead}` in \
         a task"
    );
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
