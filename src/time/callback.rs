//! Calling a function later, from the event loop.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use super::{sleep, sleep_until};
use crate::runtime::spawn;
use crate::task::{TaskRef, current_id};

/// Calls a function after the tasks that are ready now.
///
/// Functions are called in the order in which they were passed. Each call is a small task, so the
/// function may spawn, and use what a task may use. A panic in it goes to
/// [`Builder::on_incident`](crate::Builder::on_incident).
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use annulus::time::call_soon;
///
/// annulus::run(async {
///     let called = Rc::new(Cell::new(0));
///     let its = Rc::clone(&called);
///     call_soon(move || its.set(its.get() + 1));
///     let its = Rc::clone(&called);
///     call_soon(move || its.set(its.get() + 10)).cancel();
///     annulus::yield_now().await;
///     assert_eq!(called.get(), 1);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.loop.call_soon")]
#[track_caller]
pub fn call_soon(function: impl FnOnce() + 'static) -> CallHandle {
    let task = spawn(async move { function() }).detach();
    CallHandle { task, when: None, cancelled: Cell::new(false) }
}

/// Calls a function after `delay`, counted from this call.
///
/// Otherwise like [`call_at`].
///
/// # Panics
///
/// If there is no runtime on this thread.
#[doc(alias = "asyncio.loop.call_later")]
#[track_caller]
pub fn call_later(delay: Duration, function: impl FnOnce() + 'static) -> CallHandle {
    call_at(sleep(delay).deadline(), function)
}

/// Calls a function at a time, or soon if that has passed.
///
/// Otherwise like [`call_soon`].
///
/// Functions for the same time are called in the order in which they were passed.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::time::{call_at, call_later};
/// use annulus::time::{now, sleep};
///
/// annulus::run(async {
///     # annulus::time::pause();
///     let when = now() + Duration::from_secs(9);
///     let handle = call_at(when, || unreachable!("this call is cancelled"));
///     assert_eq!(handle.when(), Some(when));
///     handle.cancel();
///
///     let (sender, receiver) = std::sync::mpsc::channel();
///     call_later(Duration::from_millis(1), move || sender.send("called").unwrap());
///     sleep(Duration::from_millis(20)).await;
///     assert_eq!(receiver.try_recv(), Ok("called"));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.loop.call_at")]
#[track_caller]
pub fn call_at(when: Instant, function: impl FnOnce() + 'static) -> CallHandle {
    let call = async move {
        sleep_until(when).await;
        function();
    };
    CallHandle { task: spawn(call).detach(), when: Some(when), cancelled: Cell::new(false) }
}

/// Cancels a function that will be called later. Dropped, it cancels nothing.
#[doc(alias = "asyncio.Handle")]
#[doc(alias = "asyncio.TimerHandle")]
pub struct CallHandle {
    task: TaskRef,
    when: Option<Instant>,
    cancelled: Cell<bool>,
}

impl CallHandle {
    /// Cancels the call. Once the function has been called, this does nothing.
    #[doc(alias = "asyncio.Handle.cancel")]
    pub fn cancel(&self) {
        // The function itself may call this, within its task.
        if current_id() != Some(self.task.id()) && self.task.cancel() {
            self.cancelled.set(true);
        }
    }

    /// Whether [`cancel`](Self::cancel) has prevented the call.
    #[doc(alias = "asyncio.Handle.cancelled")]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// The time of the call, if one was given.
    #[doc(alias = "asyncio.TimerHandle.when")]
    pub fn when(&self) -> Option<Instant> {
        self.when
    }
}

impl fmt::Debug for CallHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle")
            .field("when", &self.when)
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
