//! Being inside of a runtime: in its event loop, or closing it.

use std::rc::Rc;

use super::context::{self, CurrentGuard, Shared};
use crate::task::{RunningGuard, RuntimeId};

/// Until it is dropped, this thread is inside of a runtime, which is the current one.
pub(super) struct EnterGuard<'a> {
    shared: &'a Rc<Shared>,
    is_outermost: bool,
    _running: RunningGuard,
    _entered: CurrentGuard,
}

impl<'a> EnterGuard<'a> {
    /// Enters the runtime to run its event loop.
    ///
    /// # Panics
    ///
    /// If the thread is inside of this or another runtime already.
    #[track_caller]
    pub(super) fn begin(shared: &'a Rc<Shared>) -> Self {
        let running = RunningGuard::try_begin(shared.id()).expect(
            "this thread is running a runtime already: await the future, or spawn it, instead of \
             starting a second event loop inside of the first",
        );
        Self::new(shared, running, true)
    }

    /// Enters the runtime to close it, even inside of another one.
    pub(super) fn to_close(shared: &'a Rc<Shared>) -> Self {
        match RunningGuard::try_begin(shared.id()) {
            Some(running) => Self::new(shared, running, true),
            None => Self::new(shared, RunningGuard::nested(shared.id()), false),
        }
    }

    fn new(shared: &'a Rc<Shared>, running: RunningGuard, is_outermost: bool) -> Self {
        shared.inside.set(shared.inside.get() + 1);
        let _entered = context::enter(shared);
        Self { shared, is_outermost, _running: running, _entered }
    }

    /// Whether the thread is inside of no other runtime, so that this one's event loop can run.
    pub(super) fn is_outermost(&self) -> bool {
        self.is_outermost
    }
}

impl Drop for EnterGuard<'_> {
    fn drop(&mut self) {
        self.shared.inside.set(self.shared.inside.get() - 1);
    }
}

impl Shared {
    fn id(&self) -> RuntimeId {
        RuntimeId::of(&self.driver)
    }

    /// Whether the event loop of this runtime, or its closing, is further down on this stack.
    pub(super) fn is_inside(&self) -> bool {
        self.inside.get() > 0
    }
}
