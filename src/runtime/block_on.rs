//! Running a future to its end on this thread.

use std::cell::Cell;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::rc::Rc;

use super::context::{self, Shared};
use crate::task::{JoinError, Origin};

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Marks that this thread is inside a loop.
struct Running;

impl Running {
    #[track_caller]
    fn begin() -> Self {
        assert!(
            !RUNNING.replace(true),
            "this thread is running a runtime already: await the future, or spawn it, instead of \
             starting a second loop inside the first"
        );
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

#[track_caller]
pub(super) fn block_on<F: Future>(shared: &Rc<Shared>, future: F) -> F::Output {
    let _running = Running::begin();
    let _entered = context::enter(shared);
    let origin = Origin { name: Some("main".into()), parent: None, spawned_at: Location::caller() };
    let outcome = shared.tasks.scoped(future, origin, |root| shared.run_until_ended(root));
    match outcome {
        Some(Ok(output)) => output,
        Some(Err(JoinError::Panicked(payload))) => resume_unwind(payload),
        Some(Err(JoinError::Cancelled)) | None => unreachable!("nobody can cancel the main task"),
    }
}
