//! Where shards whose closure has ended wait until all others' have.
//!
//! They wait in their event loop, so that the other shards still reach them.

use std::future::{Future, poll_fn};
use std::mem;
use std::sync::{Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// Opens when all shards have arrived.
pub(super) struct EndGate {
    state: Mutex<State>,
}

struct State {
    missing: usize,
    /// Of the shards that wait, by index.
    wakers: Vec<Option<Waker>>,
}

impl EndGate {
    pub(super) fn new(shards: usize) -> Self {
        let wakers = (0..shards).map(|_| None).collect();
        Self { state: Mutex::new(State { missing: shards, wakers }) }
    }

    /// Notes that one more closure has ended. The last one opens the gate.
    pub(super) fn arrive(&self) {
        let mut state = self.lock();
        state.missing -= 1;
        let wakers = if state.missing == 0 { mem::take(&mut state.wakers) } else { Vec::new() };
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Waits until all closures have ended.
    pub(super) fn wait(&self, shard: usize) -> impl Future<Output = ()> {
        poll_fn(move |context| {
            let mut state = self.lock();
            if state.missing == 0 {
                return Poll::Ready(());
            }
            let former = state.wakers[shard].replace(context.waker().clone());
            drop(state);
            drop(former);
            Poll::Pending
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code that may panic runs under this lock")
    }
}
