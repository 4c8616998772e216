//! What is known of a connection, and what it is asked to do.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::connections::Connections;
use super::outcome::with_sources;
use super::version::Version;

/// What a connection is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Continue,
    /// To end when the requests in flight are answered: it has been idle for too long.
    End,
    /// To end at once.
    Cut(Cut),
}

/// Why a connection is ended at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The head of a request did not arrive in time.
    HeaderTimeout,
    /// It did not end although it was asked to.
    Stuck,
}

/// Why a check finds that a connection waits for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Nothing: it works, or has been upgraded, or its client takes what is sent.
    Nothing,
    /// The rest of a request's head, or the first request.
    Head,
    /// Another request.
    Request,
}

/// A connection.
pub(super) struct State {
    server: Rc<Connections>,
    /// Where it is in the server's list.
    index: Cell<usize>,
    /// Of the connection's task.
    waker: RefCell<Option<Waker>>,
    order: Cell<Order>,
    version: Cell<Option<Version>>,
    is_upgraded: Cell<bool>,
    has_socket: Cell<bool>,
    /// How many requests are in flight.
    in_flight: Cell<u32>,
    /// Counts whatever a check takes for work.
    activity: Cell<u64>,
    has_begun: Cell<bool>,
    /// Whether something has arrived since the last request began.
    has_received: Cell<bool>,
    /// Whether a write waits for the client to take what was sent.
    is_blocked: Cell<bool>,
    /// What the last check has found, and how many in a row have found the same.
    seen: Cell<(u64, Awaited)>,
    unchanged: Cell<u32>,
    failure: RefCell<Option<String>>,
}

impl State {
    pub(super) fn new(server: Rc<Connections>) -> Self {
        Self {
            server,
            index: Cell::new(0),
            waker: RefCell::default(),
            order: Cell::new(Order::Continue),
            version: Cell::new(None),
            is_upgraded: Cell::new(false),
            has_socket: Cell::new(false),
            in_flight: Cell::new(0),
            activity: Cell::new(0),
            has_begun: Cell::new(false),
            has_received: Cell::new(false),
            is_blocked: Cell::new(false),
            seen: Cell::new((0, Awaited::Nothing)),
            unchanged: Cell::new(0),
            failure: RefCell::default(),
        }
    }

    pub(super) fn server(&self) -> &Rc<Connections> {
        &self.server
    }

    pub(super) fn index(&self) -> usize {
        self.index.get()
    }

    pub(super) fn set_index(&self, index: usize) {
        self.index.set(index);
    }

    pub(super) fn set_version(&self, version: Version) {
        self.version.set(Some(version));
    }

    pub(super) fn is_http2(&self) -> bool {
        self.version.get() == Some(Version::Http2)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.server.is_draining()
    }

    /// The task of the connection is woken by the next order.
    pub(super) fn register(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            let old = waker.replace(context.waker().clone());
            // A waker is foreign code: nothing may be borrowed when it is dropped.
            drop(waker);
            drop(old);
        }
    }

    pub(super) fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn order(&self) -> Order {
        self.order.get()
    }

    pub(super) fn give(&self, order: Order) {
        self.order.set(order);
        self.wake();
    }

    /// The connection is no more one of HTTP.
    pub(super) fn set_upgraded(&self) {
        self.is_upgraded.set(true);
        self.server.counters().upgrades.increment();
    }

    pub(super) fn has_socket(&self) -> bool {
        self.has_socket.get()
    }

    pub(super) fn set_has_socket(&self, has: bool) {
        self.has_socket.set(has);
        if !has && self.is_upgraded.get() {
            self.wake();
        }
    }

    pub(super) fn begin_request(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.has_begun.set(true);
        self.has_received.set(false);
        self.note_activity();
        self.server.begin_request();
    }

    pub(super) fn end_request(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        self.note_activity();
        self.server.end_request();
    }

    pub(super) fn note_service_failure(&self, error: &(dyn Error + 'static)) {
        self.server.counters().service_failures.increment();
        if self.is_http2() {
            // hyper resets the stream and tells no one.
            self.failure.replace(Some(with_sources(error)));
        }
    }

    /// The last failure of the service that is to be reported when the connection ends.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.failure.take()
    }

    pub(super) fn note_received(&self) {
        self.has_received.set(true);
    }

    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.set(is_blocked);
    }

    pub(super) fn note_activity(&self) {
        self.activity.set(self.activity.get().wrapping_add(1));
    }

    /// What the connection waits for, and how many checks in a row have found that.
    pub(super) fn check(&self) -> (Awaited, u32) {
        let is_busy = self.in_flight.get() > 0 || self.is_blocked.get() || self.is_upgraded.get();
        let is_head = !self.has_begun.get() || self.has_received.get() && !self.is_http2();
        let awaited = match is_busy {
            true => Awaited::Nothing,
            false if is_head => Awaited::Head,
            false => Awaited::Request,
        };
        let found = (self.activity.get(), awaited);
        let is_same = self.seen.replace(found) == found;
        self.unchanged.set(if is_same { self.unchanged.get() + 1 } else { 0 });
        (awaited, self.unchanged.get())
    }
}
