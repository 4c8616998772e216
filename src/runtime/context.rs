//! The current runtime: how code finds the runtime that it runs in.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::remote::{FlushRequest, RemoteCalls, RemoteQueue};
use super::shield::{ShieldGuard, ShieldedWork};
use crate::driver::{Driver, Metrics, UnsentWrites};
use crate::error::{IncidentHook, Reporter};
use crate::task::{Executor, is_in_task};

/// What a [`Runtime`](crate::Runtime) and the code that runs in it share.
pub(crate) struct Shared {
    pub(crate) driver: Rc<Driver>,
    pub(super) executor: Executor,
    pub(super) bell: Arc<Bell>,
    /// Prints incidents, unless the user's hook takes them.
    pub(super) reporter: Option<Arc<Reporter>>,
    pub(super) remote_calls: Rc<RemoteCalls>,
    /// The queues that other threads fill. The first is that of the calls.
    pub(super) remote_queues: RefCell<Vec<Rc<dyn RemoteQueue>>>,
    pub(super) flush_request: FlushRequest,
    pub(super) max_polls_per_turn: usize,
    pub(super) teardown_timeout: Duration,
    pub(super) shield_timeout: Duration,
    pub(super) flush_timeout: Duration,
    pub(super) shielded: ShieldedWork,
    pub(super) cancels_on_ctrl_c: bool,
    /// How many `EnterGuard`s of this runtime there are, further down on the stack.
    pub(super) inside: Cell<u32>,
}

impl Shared {
    pub(super) fn metrics(&self) -> Metrics {
        Metrics { remote_calls: self.remote_calls.received(), ..self.driver.metrics() }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

/// Until this is dropped, its runtime is this thread's current one.
pub(super) struct CurrentGuard {
    outer: Option<Rc<Shared>>,
}

/// Makes a runtime the current one. A runtime in a thread-local may be dropped when [`CURRENT`] is
/// gone already: then there is no current runtime.
pub(super) fn enter(shared: &Rc<Shared>) -> CurrentGuard {
    let entered = CURRENT.try_with(|current| current.borrow_mut().replace(Rc::clone(shared)));
    CurrentGuard { outer: entered.unwrap_or_default() }
}

impl Drop for CurrentGuard {
    fn drop(&mut self) {
        let outer = self.outer.take();
        // Dropped after the borrow of the cell has ended.
        let inner = CURRENT.try_with(|current| mem::replace(&mut *current.borrow_mut(), outer));
        drop(inner);
    }
}

/// The current runtime.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(crate) fn current() -> Rc<Shared> {
    try_current().expect(
        "there is no runtime on this thread: call this inside annulus::run or block_on, or in a task; \
         another thread starts a task with annulus::Handle::spawn, and annulus::is_running() says \
         whether there is one",
    )
}

/// The current runtime, if there is one.
pub(crate) fn try_current() -> Option<Rc<Shared>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Returns whether this thread is inside a runtime.
///
/// Inside one, [`spawn`](crate::spawn), [`sleep`](crate::time::sleep) and the like can be called.
///
/// It can be called anywhere, also in destructors, those of thread-locals included. A thread is
/// inside a runtime while that runs a future, polls a task, drops one, or ends; in a runtime that
/// ends, a task that is spawned is cancelled at once. A runtime that exists on the thread but runs
/// nothing does not count: its own methods are for that, such as
/// [`Runtime::spawn`](crate::Runtime::spawn).
///
/// # Example
///
/// ```
/// assert!(!annulus::is_running());
/// annulus::run(async {
///     assert!(annulus::is_running());
///     std::thread::spawn(|| assert!(!annulus::is_running())).join().unwrap();
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio._get_running_loop")]
#[doc(alias = "is_current")]
pub fn is_running() -> bool {
    is_in_task() || CURRENT.try_with(|current| current.borrow().is_some()).unwrap_or(false)
}

/// The driver of the current runtime.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(crate) fn driver() -> Rc<Driver> {
    Rc::clone(&current().driver)
}

/// Whether a driver is the current runtime's.
pub(crate) fn is_current(driver: &Rc<Driver>) -> bool {
    let is_its = |current: &RefCell<Option<Rc<Shared>>>| {
        current.borrow().as_ref().is_some_and(|shared| Rc::ptr_eq(&shared.driver, driver))
    };
    CURRENT.try_with(is_its).unwrap_or(false)
}

/// The time by the clock of the current runtime; without one, by the system's.
pub(crate) fn now() -> Instant {
    let its = |current: &RefCell<Option<Rc<Shared>>>| {
        current.borrow().as_ref().map(|shared| shared.driver.timers().now())
    };
    CURRENT.try_with(its).ok().flatten().unwrap_or_else(Instant::now)
}

/// The incident hook of the current runtime, for use on any thread.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(crate) fn incidents() -> IncidentHook {
    Arc::clone(current().driver.incidents())
}

/// Shields work from the end of the current runtime, until the guard is dropped.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(crate) fn shield_guard() -> ShieldGuard {
    current().shielded.add()
}

/// The unsent writes of the current runtime.
///
/// # Panics
///
/// If there is none.
#[track_caller]
pub(crate) fn unsent_writes() -> Rc<UnsentWrites> {
    Rc::clone(current().driver.unsent_writes())
}

/// Returns what the current runtime's driver has done so far.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let before = annulus::metrics().submitted;
///     annulus::time::kernel_sleep(std::time::Duration::from_millis(1)).await.unwrap();
///     assert!(annulus::metrics().submitted > before);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[track_caller]
pub fn metrics() -> Metrics {
    current().metrics()
}
