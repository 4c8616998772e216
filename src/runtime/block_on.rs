//! Running a future to completion on this thread.

use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;

use super::context::Shared;
use super::ctrl_c::CtrlCWatch;
use super::enter::EnterGuard;
use super::interrupted::Interrupted;
use crate::task::{JoinError, Origin};

#[track_caller]
pub(super) fn block_on<F: Future>(shared: &Rc<Shared>, future: F) -> F::Output {
    // A `match`, as the panic is to point at the caller.
    match try_block_on(shared, future) {
        Ok(output) => output,
        Err(interrupted) if interrupted.is_ctrl_c() => {
            // The process ends here, so the runtime must be closed before.
            shared.close();
            interrupted.exit()
        }
        Err(_) => panic!(
            "`block_on` was stopped by `Handle::stop` before its future completed, and has no \
             output: use `try_block_on`, which returns an error instead"
        ),
    }
}

#[track_caller]
pub(super) fn try_block_on<F: Future>(
    shared: &Rc<Shared>,
    future: F,
) -> Result<F::Output, Interrupted> {
    let _guard = EnterGuard::begin(shared);
    // What was sent before comes before the main task, which may end in its first poll.
    shared.receive();
    let origin = Origin { name: Some("main".into()), parent: None, spawned_at: Location::caller() };
    let (mut watch, mut stop) = (None, None);
    let outcome = shared.executor.scoped(future, origin, |root| {
        watch = if shared.cancels_on_ctrl_c { CtrlCWatch::new(root) } else { None };
        stop = Some(shared.remote_calls.stop_main(root));
        shared.run_until(|| root.is_finished());
    });
    let is_stopped = stop.is_some_and(|stop| stop.was_stopped());
    let interrupted = watch.and_then(|watch| watch.interrupted());
    let interrupted = interrupted.or(is_stopped.then(Interrupted::by_stop));
    shared.submit_queued();
    match outcome {
        Some(Ok(output)) => Ok(output),
        Some(Err(JoinError::Panicked(payload))) => resume_unwind(payload),
        Some(Err(JoinError::Cancelled | JoinError::Ended)) | None => {
            Err(interrupted.expect("only ctrl-c and a stop can cancel the main task"))
        }
    }
}
