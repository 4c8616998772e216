//! Running a future to its end on this thread.

use std::cell::Cell;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;

use super::context::{self, Shared};
use super::interrupt::{Interrupted, Watch};
use crate::task::{JoinError, Origin};

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Marks that this thread is inside a loop.
pub(super) struct Running;

impl Running {
    /// `None` if it is already.
    pub(super) fn try_begin() -> Option<Self> {
        (!RUNNING.replace(true)).then(|| Self)
    }

    #[track_caller]
    fn begin() -> Self {
        Self::try_begin().expect(
            "this thread is running a runtime already: await the future, or spawn it, instead of \
             starting a second loop inside the first",
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

#[track_caller]
pub(super) fn block_on<F: Future>(shared: &Rc<Shared>, future: F) -> F::Output {
    try_block_on(shared, future).unwrap_or_else(|interrupted| {
        // The process ends here, so the runtime must end before.
        let _entered = context::enter(shared);
        shared.close();
        interrupted.exit()
    })
}

#[track_caller]
pub(super) fn try_block_on<F: Future>(
    shared: &Rc<Shared>,
    future: F,
) -> Result<F::Output, Interrupted> {
    let _running = Running::begin();
    let _entered = context::enter(shared);
    let origin = Origin { name: Some("main".into()), parent: None, spawned_at: Location::caller() };
    let mut watch = None;
    let outcome = shared.tasks.scoped(future, origin, |root| {
        watch = if shared.cancels_on_ctrl_c { Watch::new(root) } else { None };
        shared.run_until(|| root.is_finished());
    });
    match outcome {
        Some(Ok(output)) => Ok(output),
        Some(Err(JoinError::Panicked(payload))) => resume_unwind(payload),
        Some(Err(JoinError::Cancelled)) | None => {
            let interrupted = watch.and_then(|watch| watch.interrupted());
            Err(interrupted.expect("only ctrl-c can cancel the main task"))
        }
    }
}
