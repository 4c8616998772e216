//! Where started shards wait until all others have started too, or one has failed to.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::shard::Run;

/// Opened once, by the thread that starts the shards.
#[derive(Default)]
pub(super) struct StartGate {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Closed,
    Open(Arc<Run>),
    /// A shard could not be started, so that none runs.
    Abandoned,
}

impl StartGate {
    /// Has the shards run.
    pub(super) fn open(&self, run: &Arc<Run>) {
        self.set(State::Open(Arc::clone(run)));
    }

    /// Has the shards end without having run.
    pub(super) fn abandon(&self) {
        self.set(State::Abandoned);
    }

    /// Waits until all shards have started. Returns `None` if one could not be.
    pub(super) fn wait(&self) -> Option<Arc<Run>> {
        let is_closed = |state: &mut State| matches!(state, State::Closed);
        let state = self.opened.wait_while(self.lock(), is_closed);
        match &*state.expect("no code that may panic runs under this lock") {
            State::Open(run) => Some(Arc::clone(run)),
            State::Abandoned | State::Closed => None,
        }
    }

    fn set(&self, state: State) {
        *self.lock() = state;
        self.opened.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code that may panic runs under this lock")
    }
}
