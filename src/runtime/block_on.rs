//! Running a future to completion on this thread.

use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;

use super::context::Shared;
use super::ctrl_c::{CtrlCWatch, Interrupted};
use super::enter::EnterGuard;
use crate::task::{JoinError, Origin};

#[track_caller]
pub(super) fn block_on<F: Future>(shared: &Rc<Shared>, future: F) -> F::Output {
    try_block_on(shared, future).unwrap_or_else(|interrupted| {
        // The process ends here, so the runtime must be closed before.
        shared.close();
        interrupted.exit()
    })
}

#[track_caller]
pub(super) fn try_block_on<F: Future>(
    shared: &Rc<Shared>,
    future: F,
) -> Result<F::Output, Interrupted> {
    let _guard = EnterGuard::begin(shared);
    let origin = Origin { name: Some("main".into()), parent: None, spawned_at: Location::caller() };
    let mut watch = None;
    let outcome = shared.executor.scoped(future, origin, |root| {
        watch = if shared.cancels_on_ctrl_c { CtrlCWatch::new(root) } else { None };
        shared.run_until(|| root.is_finished());
    });
    let interrupted = watch.and_then(|watch| watch.interrupted());
    shared.submit_queued();
    match outcome {
        Some(Ok(output)) => Ok(output),
        Some(Err(JoinError::Panicked(payload))) => resume_unwind(payload),
        Some(Err(JoinError::Cancelled)) | None => {
            Err(interrupted.expect("only ctrl-c can cancel the main task"))
        }
    }
}
