//! The connections of a server: which are idle for too long, and that they are to end.
//!
//! One task looks at all of them in regular checks, while there are any. So a request costs a few
//! stores and no timer, and a limit may be exceeded by a quarter.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use annulus::time::sleep;
use annulus::yield_now;

use super::counters::Counts;
use super::state::{Awaited, Cut, Order, State};

/// How many checks there are in the shortest of the times.
const CHECKS: u32 = 4;

/// The least time between two checks.
const LEAST_PERIOD: Duration = Duration::from_millis(5);

/// How many connections are looked at before other tasks are polled.
const BATCH: usize = 512;

/// How long a connection may wait for its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// For the head of a request.
    pub(super) head: Option<Duration>,
    /// For another request.
    pub(super) request: Option<Duration>,
}

/// The times in checks.
#[derive(Clone, Copy, Debug)]
struct Checks {
    period: Duration,
    head: u32,
    request: u32,
}

impl Checks {
    /// `None` if there are no limits.
    fn of(times: Times) -> Option<Self> {
        let shortest = times.head.into_iter().chain(times.request).min()?;
        let period = (shortest / CHECKS).max(LEAST_PERIOD);
        let checks = |time: Option<Duration>| {
            let checks = time.map(|time| time.as_nanos().div_ceil(period.as_nanos()).max(1));
            checks.and_then(|checks| u32::try_from(checks).ok()).unwrap_or(u32::MAX)
        };
        Some(Self { period, head: checks(times.head), request: checks(times.request) })
    }

    /// What a waiting connection is to do, after `unchanged` consecutive checks found it unchanged.
    fn judge(&self, awaited: Awaited, unchanged: u32, order: Order) -> Order {
        match (awaited, order) {
            (Awaited::Head, _) if unchanged >= self.head => Order::Cut(Cut::HeaderTimeout),
            // It has been told, and had as much time again.
            (Awaited::Request, Order::End) if unchanged / 2 >= self.request => {
                Order::Cut(Cut::Stuck)
            }
            (Awaited::Request, Order::Continue) if unchanged >= self.request => Order::End,
            _ => order,
        }
    }
}

/// The connections of a server.
pub(super) struct Connections {
    list: RefCell<Vec<Rc<State>>>,
    is_draining: Cell<bool>,
    /// How many requests are in flight.
    in_flight: Cell<usize>,
    checks: Option<Checks>,
    /// Whether a task checks the connections.
    is_checked: Cell<bool>,
    counters: Counts,
}

impl Connections {
    pub(super) fn new(times: Times) -> Self {
        Self {
            list: RefCell::default(),
            is_draining: Cell::new(false),
            in_flight: Cell::new(0),
            checks: Checks::of(times),
            is_checked: Cell::new(false),
            counters: Counts::default(),
        }
    }

    pub(super) fn counters(&self) -> &Counts {
        &self.counters
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    pub(super) fn begin_request(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.counters.requests.increment();
    }

    pub(super) fn end_request(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// All connections are to end when their requests in flight are answered, later ones, too.
    pub(super) fn drain(&self) {
        if self.is_draining.replace(true) {
            return;
        }
        // Wakers are foreign code: nothing may be borrowed when they are called.
        let list = self.list.borrow().clone();
        list.iter().for_each(|state| state.wake());
    }

    /// Returns a guard; while it lives, the connection is in the list.
    pub(super) fn enter(self: &Rc<Self>) -> Entered {
        let state = Rc::new(State::new(Rc::clone(self)));
        let mut list = self.list.borrow_mut();
        state.set_index(list.len());
        list.push(Rc::clone(&state));
        drop(list);
        if let Some(checks) = self.checks.filter(|_| !self.is_checked.replace(true)) {
            drop(annulus::spawn(watch(Rc::downgrade(self), checks)));
        }
        Entered(state)
    }

    fn leave(&self, state: &State) {
        let mut list = self.list.borrow_mut();
        let left = list.swap_remove(state.index());
        if let Some(moved) = list.get(state.index()) {
            moved.set_index(state.index());
        }
        drop(list);
        drop(left);
    }
}

/// A connection is in the list of its server while this lives.
pub(super) struct Entered(Rc<State>);

impl Entered {
    pub(super) fn state(&self) -> &Rc<State> {
        &self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.server().leave(&self.0);
    }
}

/// Checks the connections until there are none. The next one starts this again.
async fn watch(server: Weak<Connections>, checks: Checks) {
    loop {
        sleep(checks.period).await;
        let Some(server) = server.upgrade() else { return };
        if server.list.borrow().is_empty() {
            server.is_checked.set(false);
            return;
        }
        let mut index = 0;
        loop {
            let Some(state) = server.list.borrow().get(index).cloned() else { break };
            let (awaited, unchanged) = state.check();
            let order = checks.judge(awaited, unchanged, state.order());
            if order != state.order() {
                if order == Order::End {
                    server.counters.idle_timeouts.increment();
                }
                state.give(order);
            }
            index += 1;
            if index % BATCH == 0 {
                yield_now().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(head: Option<u64>, request: Option<u64>) -> Checks {
        let (head, request) = (head.map(Duration::from_secs), request.map(Duration::from_secs));
        Checks::of(Times { head, request }).unwrap()
    }

    #[test]
    fn a_limit_is_reached_in_as_many_checks_as_it_takes() {
        let both = checks(Some(4), Some(10));
        assert_eq!((both.period, both.head, both.request), (Duration::from_secs(1), 4, 10));
        assert_eq!(checks(Some(4), None).request, u32::MAX);
        assert!(Checks::of(Times { head: None, request: None }).is_none());
    }

    #[test]
    fn a_connection_that_waits_is_ended_and_one_that_works_is_not() {
        let both = checks(Some(4), Some(8));
        let judge = |awaited, unchanged| both.judge(awaited, unchanged, Order::Continue);
        assert_eq!(judge(Awaited::Nothing, 1000), Order::Continue);
        assert_eq!(judge(Awaited::Head, 3), Order::Continue);
        assert_eq!(judge(Awaited::Head, 4), Order::Cut(Cut::HeaderTimeout));
        assert_eq!(judge(Awaited::Request, 7), Order::Continue);
        assert_eq!(judge(Awaited::Request, 8), Order::End);
        assert_eq!(both.judge(Awaited::Request, 15, Order::End), Order::End);
        assert_eq!(both.judge(Awaited::Request, 16, Order::End), Order::Cut(Cut::Stuck));
    }
}
