//! The connections that a server serves, and whether it accepts new ones.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::Shutdown;
use std::rc::{Rc, Weak};

use slab::Slab;

use super::options::{ServerOptions, WhenFull};
use super::peers::{Peer, PeerCounts};
use crate::op::StreamSocket;
use crate::sync::Event;
use crate::task::{JoinHandle, coop};

/// The connections of a server.
pub(super) struct Registry {
    served: RefCell<Slab<Entry>>,
    /// The keys that were ever used are below this.
    key_bound: Cell<usize>,
    /// How many are served at most.
    max: Option<usize>,
    when_full: WhenFull,
    /// How many each peer has, if that is limited.
    peers: Option<PeerCounts>,
    /// How many tasks accept.
    accepting: Cell<usize>,
    /// How many handlers have ended.
    ended: Cell<usize>,
    /// How many connections were aborted before their handlers began; `None` until all are aborted.
    aborted_waiting: Cell<Option<usize>>,
    is_soft_cancelled: Cell<bool>,
    closed: Event,
    /// A connection has begun, or accepting has ended.
    begun: Event,
    /// A connection, or accepting, has ended.
    progress: Event,
}

struct Entry {
    /// Weak, since its handler decides how long it lives.
    socket: Weak<StreamSocket>,
    task: Option<JoinHandle<()>>,
    /// By which it is counted, if connections of a peer are limited.
    peer: Option<Peer>,
    /// Whether [`look_at`](Registry::look_at) has returned it.
    is_known: Cell<bool>,
}

impl Registry {
    pub(super) fn new(options: &ServerOptions, accepting: usize) -> Self {
        Self {
            served: RefCell::default(),
            key_bound: Cell::new(0),
            max: options.max_connections.map(|max| max.max(1)),
            when_full: options.when_full,
            peers: options.max_connections_per_peer.map(PeerCounts::new),
            accepting: Cell::new(accepting),
            ended: Cell::new(0),
            aborted_waiting: Cell::new(None),
            is_soft_cancelled: Cell::new(false),
            closed: Event::new(),
            begun: Event::new(),
            progress: Event::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.served.borrow().len()
    }

    /// How many connections are served at most.
    pub(super) fn max(&self) -> Option<usize> {
        self.max
    }

    pub(super) fn ended(&self) -> usize {
        self.ended.get()
    }

    pub(super) fn is_serving(&self) -> bool {
        !self.closed.is_set() && self.accepting.get() > 0
    }

    /// Whether no task accepts any more and all handlers have ended.
    pub(super) fn is_over(&self) -> bool {
        self.accepting.get() == 0 && self.len() == 0
    }

    pub(super) async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        // It may hold at once, every time: other tasks must be polled, too.
        poll_fn(|context| coop::poll_spend(context)).await;
        while !holds(self) {
            self.progress.clear();
            self.progress.wait().await;
        }
    }

    /// Waits until one more connection may be served, or all have been aborted. Returns how many
    /// may be; `None` without a limit, and if those beyond it do not wait.
    pub(super) async fn room(&self) -> Option<usize> {
        let max = self.max.filter(|_| self.when_full == WhenFull::Wait)?;
        self.wait_until(|its| its.len() < max || its.aborted_waiting.get().is_some()).await;
        Some(max.saturating_sub(self.len()))
    }

    /// Aborts a connection that no handler has, if all others have been aborted. Returns whether it
    /// did.
    pub(super) fn aborts(&self, waiting: &StreamSocket) -> bool {
        let Some(count) = self.aborted_waiting.get() else { return false };
        self.aborted_waiting.set(Some(count + 1));
        waiting.abort();
        true
    }

    /// Aborts a connection that no handler has, if it is beyond a limit. Otherwise it counts as one
    /// of its peer. Returns whether it did.
    pub(super) fn refuses(&self, waiting: &StreamSocket, peer: Option<Peer>) -> bool {
        let is_full = self.max.is_some_and(|max| self.len() >= max);
        let counters = waiting.driver().counters();
        if is_full && self.when_full == WhenFull::Reset {
            counters.refused_connections.increment();
        } else if self.peers.as_ref().zip(peer).is_some_and(|(peers, peer)| !peers.add(peer)) {
            counters.refused_peer_connections.increment();
        } else {
            return false;
        }
        waiting.abort();
        true
    }

    /// How many connections were aborted before their handlers began.
    pub(super) fn aborted_waiting(&self) -> usize {
        self.aborted_waiting.get().unwrap_or(0)
    }

    pub(super) fn close(&self) {
        self.closed.set();
        self.progress.set();
    }

    /// Waits until the server is closed.
    pub(super) async fn closed(&self) {
        self.closed.wait().await;
    }

    /// Returns a guard; while it lives, a task accepts.
    pub(super) fn accepting(self: &Rc<Self>) -> Accepting {
        Accepting(Rc::clone(self))
    }

    /// Returns a guard; while it lives, the connection is being served. It has not been
    /// [refused](Self::refuses).
    pub(super) fn begin(self: &Rc<Self>, socket: &Rc<StreamSocket>, peer: Option<Peer>) -> Served {
        let peer = peer.filter(|_| self.peers.is_some());
        let is_known = Cell::new(false);
        let entry = Entry { socket: Rc::downgrade(socket), task: None, peer, is_known };
        let key = self.served.borrow_mut().insert(entry);
        self.key_bound.set(self.key_bound.get().max(key + 1));
        self.begun.set();
        if self.is_soft_cancelled.get() {
            socket.end(Shutdown::Read);
        }
        Served { registry: Rc::clone(self), key }
    }

    /// Waits until there is a connection. Returns false if there will be none.
    pub(super) async fn has_connections(&self) -> bool {
        while self.len() == 0 {
            if self.accepting.get() == 0 {
                return false;
            }
            self.begun.clear();
            self.begun.wait().await;
        }
        true
    }

    /// The keys of connections are below this.
    pub(super) fn key_bound(&self) -> usize {
        self.key_bound.get()
    }

    /// Returns the connection with a key, and whether it is returned for the first time; `None` if
    /// there is none, or its handler has released it.
    pub(super) fn look_at(&self, key: usize) -> Option<(Rc<StreamSocket>, bool)> {
        let served = self.served.borrow();
        let entry = served.get(key)?;
        Some((entry.socket.upgrade()?, !entry.is_known.replace(true)))
    }

    /// Notes which task handles a connection.
    pub(super) fn set_task(&self, key: usize, task: JoinHandle<()>) {
        if let Some(connection) = self.served.borrow_mut().get_mut(key) {
            connection.task = Some(task);
        }
    }

    pub(super) fn close_clients(&self) {
        self.each_socket(|socket| socket.end(Shutdown::Read));
    }

    /// [`close_clients`](Self::close_clients), also of those that still wait to be served.
    pub(super) fn soft_cancel(&self) {
        self.is_soft_cancelled.set(true);
        self.close_clients();
    }

    pub(super) fn abort_clients(&self) {
        self.each_socket(|socket| socket.abort());
    }

    fn each_socket(&self, end: impl Fn(&StreamSocket)) {
        let served = self.served.borrow();
        let sockets: Vec<_> = served.iter().filter_map(|(_, one)| one.socket.upgrade()).collect();
        // Dropping the last reference closes a socket: nothing may be borrowed then.
        drop(served);
        sockets.iter().for_each(|socket| end(socket));
    }

    /// Cancels the handlers and aborts their connections, and returns how many. Those that still
    /// wait to be served are aborted when they would be.
    pub(super) fn abort_all(&self) -> usize {
        self.aborted_waiting.set(Some(self.aborted_waiting()));
        self.progress.set();
        self.abort_clients();
        let served = self.served.borrow();
        let tasks = served.iter().filter_map(|(_, connection)| connection.task.as_ref());
        tasks.filter(|task| task.cancel()).count()
    }
}

/// A task accepts while this lives.
pub(super) struct Accepting(Rc<Registry>);

impl Accepting {
    pub(super) fn registry(&self) -> &Rc<Registry> {
        &self.0
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.accepting.set(self.0.accepting.get() - 1);
        self.0.begun.set();
        self.0.progress.set();
    }
}

/// A connection is being served while this lives.
pub(super) struct Served {
    registry: Rc<Registry>,
    key: usize,
}

impl Served {
    pub(super) fn key(&self) -> usize {
        self.key
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let connection = self.registry.served.borrow_mut().remove(self.key);
        if let Some((peers, peer)) = self.registry.peers.as_ref().zip(connection.peer) {
            peers.remove(peer);
        }
        // The handle of the task that is ending: nothing may be borrowed when it is dropped.
        drop(connection);
        self.registry.ended.set(self.registry.ended.get() + 1);
        self.registry.progress.set();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::{run, spawn};
    use crate::time::timeout;

    /// The first task to wait has used up its budget, so it is polled again only after another,
    /// which waits for something else, has looked.
    #[test]
    fn a_wait_sees_what_changed_while_its_task_had_to_yield() {
        run(async {
            let registry = Rc::new(Registry::new(&ServerOptions::new(), 1));
            let holds = Rc::new(Cell::new(false));
            for used in 100..=130 {
                holds.set(false);
                let (its, condition) = (Rc::clone(&registry), Rc::clone(&holds));
                let first = spawn(async move {
                    for _ in 0..used {
                        poll_fn(|context| coop::poll_spend(context)).await;
                    }
                    its.wait_until(|_| condition.get()).await;
                });
                let (its, condition) = (Rc::clone(&registry), Rc::clone(&holds));
                drop(spawn(async move {
                    condition.set(true);
                    its.progress.set();
                }));
                let its = Rc::clone(&registry);
                let other = spawn(async move { its.wait_until(|_| false).await });
                timeout(Duration::from_secs(10), first).await.expect("it waits for ever").unwrap();
                other.cancel();
            }
        })
        .unwrap();
    }
}
