//! How the tasks of one runtime wait for a shutdown: one of them, the *watcher*, waits for what
//! other threads and signals do, and sets an event that the others wait for.
//!
//! So a handler that races the shutdown against each read pays for a place in a queue of its own
//! thread. Without the watcher it would pay for an SQE and its cancel, or for a lock that all
//! threads share.
//!
//! A watcher is started when a task of the runtime first waits, and stays until the shutdown has
//! been forced, its last clone is dropped, or the runtime ends.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::os::fd::RawFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use futures_util::future::select;

use super::state::{Level, State};
use crate::runtime::signals::rung;
use crate::runtime::spawn_named;
use crate::sync::Event;
use crate::task::{RuntimeId, coop, running};

/// What the watcher of a runtime has seen of a shutdown.
#[derive(Default)]
struct Seen {
    requested: Event,
    forced: Event,
}

/// A watcher that runs on this thread.
struct Watch {
    /// `None` for one that was started outside of an event loop.
    runtime: Option<RuntimeId>,
    /// Keeps the address of the state from being used again.
    state: Weak<State>,
    seen: Rc<Seen>,
}

thread_local! {
    static WATCHES: RefCell<Vec<Watch>> = const { RefCell::new(Vec::new()) };
}

/// Waits until a shutdown has reached a level.
///
/// # Panics
///
/// If it has to wait and there is no runtime on this thread.
pub(super) async fn reached(state: &Arc<State>, level: Level) {
    if state.has_reached(level) {
        poll_fn(|context| coop::poll_spend(context)).await;
        return;
    }
    match seen(state) {
        Some(seen) => seen.event(level).wait().await,
        // The thread is ending.
        None => state.token(level).cancelled().await,
    }
}

/// What the watcher of the current runtime sees; starts it if there is none. `None` if the thread
/// is ending.
fn seen(state: &Arc<State>) -> Option<Rc<Seen>> {
    let runtime = running();
    let is_its = |watch: &&Watch| {
        watch.runtime == runtime && std::ptr::eq(watch.state.as_ptr(), Arc::as_ptr(state))
    };
    let find = |watches: &RefCell<Vec<Watch>>| {
        watches.borrow().iter().find(is_its).map(|watch| Rc::clone(&watch.seen))
    };
    let found = WATCHES.try_with(find).ok()?;
    Some(found.unwrap_or_else(|| start(state, runtime)))
}

#[cold]
fn start(state: &Arc<State>, runtime: Option<RuntimeId>) -> Rc<Seen> {
    let seen = Rc::<Seen>::default();
    let (state, its) = (Arc::downgrade(state), Rc::clone(&seen));
    let watch = Watch { runtime, state: Weak::clone(&state), seen: Rc::clone(&seen) };
    // The guard is made here: a runtime that is ending drops the task without polling it.
    let registered = Registered::new(watch);
    drop(spawn_named("shutdown", async move {
        let _registered = registered;
        watch_until(&state, Level::Requested).await;
        its.requested.set();
        watch_until(&state, Level::Forced).await;
        its.forced.set();
    }));
    seen
}

/// Waits until a shutdown has reached a level, or its last clone is gone. If it was a signal, tells
/// the watchers of other runtimes.
async fn watch_until(state: &Weak<State>, level: Level) {
    let sources = |state: Arc<State>| (state.token(level).clone(), state.bell(level));
    let Some((token, bell)) = state.upgrade().map(sources) else { return };
    select(pin!(token.cancelled()), pin!(rung_if_any(bell))).await;
    if let Some(state) = state.upgrade() {
        state.raise(level);
    }
}

async fn rung_if_any(bell: Option<RawFd>) {
    match bell {
        // A poll that fails says that the runtime has ended.
        Some(bell) if rung(bell).await.is_ok() => {}
        _ => pending().await,
    }
}

impl Seen {
    fn event(&self, level: Level) -> &Event {
        match level {
            Level::Requested => &self.requested,
            Level::Forced => &self.forced,
        }
    }
}

/// A watcher is in the list of its thread while this lives.
struct Registered(Rc<Seen>);

impl Registered {
    fn new(watch: Watch) -> Self {
        let registered = Self(Rc::clone(&watch.seen));
        let _ = WATCHES.try_with(|watches| watches.borrow_mut().push(watch));
        registered
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let is_its = |watch: &Watch| Rc::ptr_eq(&watch.seen, &self.0);
        let removed = WATCHES.try_with(|watches| {
            let mut watches = watches.borrow_mut();
            watches.iter().position(is_its).map(|index| watches.swap_remove(index))
        });
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::runtime::{run, yield_now};
    use crate::shutdown::Shutdown;
    use crate::time::{sleep, timeout};

    fn count() -> usize {
        WATCHES.with_borrow(Vec::len)
    }

    async fn watch(shutdown: &Shutdown) {
        assert!(timeout(Duration::ZERO, shutdown.requested()).await.is_err());
        assert!(timeout(Duration::ZERO, shutdown.forced()).await.is_err());
        // The watcher, which was ready before, begins to wait.
        yield_now().await;
    }

    async fn until_none() {
        while count() > 0 {
            sleep(Duration::from_micros(100)).await;
        }
    }

    #[test]
    fn a_watcher_ends_with_the_last_clone_wherever_that_is_dropped() {
        run(async {
            let shutdowns: Vec<_> = (0..10).map(|_| Shutdown::new()).collect();
            for (index, shutdown) in shutdowns.iter().enumerate() {
                watch(shutdown).await;
                watch(shutdown).await;
                assert_eq!(count(), index + 1, "one for all waits");
            }
            thread::spawn(move || drop(shutdowns)).join().unwrap();
            until_none().await;
            let half_way = Shutdown::new();
            watch(&half_way).await;
            half_way.request();
            half_way.requested().await;
            yield_now().await;
            assert_eq!(count(), 1, "it waits for the second level");
            drop(half_way);
            until_none().await;
        })
        .unwrap();
    }

    #[test]
    fn a_watcher_ends_with_its_runtime_and_another_runtime_has_its_own() {
        let shutdown = Shutdown::new();
        for _ in 0..3 {
            run(async {
                watch(&shutdown).await;
                assert_eq!(count(), 1);
            })
            .unwrap();
            assert_eq!(count(), 0);
        }
    }
}
