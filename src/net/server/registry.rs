//! Who is being served.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};

use std::net::Shutdown;

use slab::Slab;

use super::ServerOptions;
use crate::net::tcp::TcpStream;
use crate::op::StreamSocket;
use crate::sync::Event;
use crate::task::{JoinHandle, coop};

/// The connections of a server, and whether it takes new ones.
pub(super) struct Connections {
    served: RefCell<Slab<Connection>>,
    most: Option<usize>,
    reader_limit: Option<usize>,
    /// Tasks that accept.
    listening: Cell<usize>,
    /// How many handlers have ended.
    ended: Cell<usize>,
    /// Who was cut before a handler began, once the others have been; `None` before.
    cut_waiting: Cell<Option<usize>>,
    closed: Event,
    /// A connection, or accepting, has ended.
    progress: Event,
}

struct Connection {
    /// Whoever handles it decides how long it lives.
    socket: Weak<StreamSocket>,
    task: Option<JoinHandle<()>>,
}

impl Connections {
    pub(super) fn new(options: &ServerOptions, listening: usize) -> Self {
        Self {
            served: RefCell::default(),
            most: options.max_connections.map(|most| most.max(1)),
            reader_limit: options.reader_limit,
            listening: Cell::new(listening),
            ended: Cell::new(0),
            cut_waiting: Cell::new(None),
            closed: Event::new(),
            progress: Event::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.served.borrow().len()
    }

    pub(super) fn ended(&self) -> usize {
        self.ended.get()
    }

    pub(super) fn is_serving(&self) -> bool {
        !self.closed.is_set() && self.listening.get() > 0
    }

    /// Whether nobody accepts any more and all handlers have ended.
    pub(super) fn is_over(&self) -> bool {
        self.listening.get() == 0 && self.len() == 0
    }

    pub(super) async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        // It may hold at once, and again and again.
        poll_fn(|context| coop::poll_spend(context)).await;
        while !holds(self) {
            self.progress.clear();
            self.progress.wait().await;
        }
    }

    /// Waits until one more connection may be served, or none any more, and says how many may be; `None`
    /// if there is no limit.
    pub(super) async fn room(&self) -> Option<usize> {
        let most = self.most?;
        self.wait_until(|its| its.len() < most || its.cut_waiting.get().is_some()).await;
        Some(most.saturating_sub(self.len()))
    }

    /// Whether the connections have been cut, and so this one, which no handler has.
    pub(super) fn cuts(&self, waiting: &TcpStream) -> bool {
        let Some(count) = self.cut_waiting.get() else { return false };
        self.cut_waiting.set(Some(count + 1));
        waiting.socket().abort();
        true
    }

    /// How many were cut before a handler began.
    pub(super) fn cut_waiting(&self) -> usize {
        self.cut_waiting.get().unwrap_or(0)
    }

    pub(super) fn close(&self) {
        self.closed.set();
        self.progress.set();
    }

    /// Waits until the server is closed.
    pub(super) async fn closed(&self) {
        self.closed.wait().await;
    }

    /// Until it is dropped, there is one that accepts.
    pub(super) fn listening(self: &Rc<Self>) -> Listening {
        Listening(Rc::clone(self))
    }

    /// Until what this gives is dropped, the connection is being served.
    pub(super) fn begin(self: &Rc<Self>, stream: &TcpStream) -> Served {
        let connection = Connection { socket: Rc::downgrade(stream.socket()), task: None };
        let number = self.served.borrow_mut().insert(connection);
        Served { connections: Rc::clone(self), number }
    }

    /// Says which task handles a connection.
    pub(super) fn set_task(&self, number: usize, task: JoinHandle<()>) {
        if let Some(connection) = self.served.borrow_mut().get_mut(number) {
            connection.task = Some(task);
        }
    }

    pub(super) fn close_clients(&self) {
        self.each_socket(|socket| socket.end(Shutdown::Read));
    }

    pub(super) fn abort_clients(&self) {
        self.each_socket(|socket| socket.abort());
    }

    fn each_socket(&self, end: impl Fn(&StreamSocket)) {
        let served = self.served.borrow();
        let sockets: Vec<_> = served.iter().filter_map(|(_, one)| one.socket.upgrade()).collect();
        // The last to let go of a socket closes it.
        drop(served);
        sockets.iter().for_each(|socket| end(socket));
    }

    /// Cancels the handlers and breaks their connections, and says how many. Those that still wait to be
    /// served are cut when their turn comes.
    pub(super) fn cut(&self) -> usize {
        self.cut_waiting.set(Some(self.cut_waiting()));
        self.progress.set();
        self.abort_clients();
        let served = self.served.borrow();
        let tasks = served.iter().filter_map(|(_, connection)| connection.task.as_ref());
        tasks.filter(|task| task.cancel()).count()
    }
}

/// There is one that accepts.
pub(super) struct Listening(Rc<Connections>);

impl Listening {
    pub(super) fn connections(&self) -> &Rc<Connections> {
        &self.0
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listening.set(self.0.listening.get() - 1);
        self.0.progress.set();
    }
}

/// A connection is being served.
pub(super) struct Served {
    connections: Rc<Connections>,
    number: usize,
}

impl Served {
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// What the handler's reader is limited to, if it is not the default.
    pub(super) fn reader_limit(&self) -> Option<usize> {
        self.connections.reader_limit
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let connection = self.connections.served.borrow_mut().remove(self.number);
        // The handle of the task that is ending: nothing may be borrowed when it goes.
        drop(connection);
        self.connections.ended.set(self.connections.ended.get() + 1);
        self.connections.progress.set();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::runtime::{run, spawn};
    use crate::time::timeout;

    /// The first to wait has used up its budget, so it comes back only after another, which waits for
    /// something else, has looked.
    #[test]
    fn a_wait_sees_what_came_about_while_its_task_had_to_yield() {
        run(async {
            let connections = Rc::new(Connections::new(&ServerOptions::new(), 1));
            let has_come = Rc::new(Cell::new(false));
            for used in 100..=130 {
                has_come.set(false);
                let (its, holds) = (Rc::clone(&connections), Rc::clone(&has_come));
                let first = spawn(async move {
                    for _ in 0..used {
                        poll_fn(|context| coop::poll_spend(context)).await;
                    }
                    its.wait_until(|_| holds.get()).await;
                });
                let (its, comes) = (Rc::clone(&connections), Rc::clone(&has_come));
                drop(spawn(async move {
                    comes.set(true);
                    its.progress.set();
                }));
                let its = Rc::clone(&connections);
                let other = spawn(async move { its.wait_until(|_| false).await });
                timeout(Duration::from_secs(10), first).await.expect("it waits for ever").unwrap();
                other.cancel();
            }
        })
        .unwrap();
    }
}
