//! The connections of a load, and the loop that serves them.

use std::io;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::pattern::Pattern;
use super::{BATCH, PATIENCE, stuck};
use crate::os::epoll::Epoll;
use crate::server::Server;

/// What is under way at the end has so long to come back.
const DRAINING: Duration = Duration::from_secs(30);

/// Many connections to one server.
pub(crate) struct Clients {
    epoll: Epoll,
    /// The number of the first connection.
    first: usize,
    connections: Vec<Connection>,
    pattern: Pattern,
    scratch: Vec<u8>,
    started: u64,
    completed: u64,
}

/// A message that came back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When it was due to be sent.
    pub(crate) due: Instant,
    pub(crate) at: Instant,
}

impl Clients {
    /// Connects, one after the other, for messages of `size` bytes.
    pub(crate) fn connect(server: &Server, connections: usize, size: usize) -> io::Result<Self> {
        Self::connect_from(server, 0, connections, size)
    }

    /// Connects likewise, with numbers from `first` on: no two connections of a number send the
    /// same.
    pub(crate) fn connect_from(
        server: &Server,
        first: usize,
        connections: usize,
        size: usize,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(BATCH)?;
        let numbers = first..first + connections;
        let connections = numbers.map(|number| Connection::open(server.address(), number, &epoll));
        let mut clients = Self {
            connections: connections.collect::<io::Result<_>>()?,
            epoll,
            first,
            pattern: Pattern::new(size),
            scratch: vec![0; 256 * 1024],
            started: 0,
            completed: 0,
        };
        // A server that is slow to start has its socket listen before it does. It must be there
        // before anything is timed.
        if !clients.connections.is_empty() {
            clients.send(0, 1, Instant::now())?;
            clients.drain(|_| ())?;
        }
        Ok(clients)
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// How many messages have come back.
    pub(crate) fn completed(&self) -> u64 {
        self.completed
    }

    /// Sends messages on a connection, now or when there is room.
    pub(crate) fn send(
        &mut self,
        connection: usize,
        messages: usize,
        due: Instant,
    ) -> io::Result<()> {
        let connection = &mut self.connections[connection];
        (0..messages).for_each(|_| connection.enqueue(due));
        self.started += messages as u64;
        connection.flush(&self.pattern)
    }

    /// Serves the connections that are ready, or become so within the limit; says whether there
    /// were any. Each message that came back is followed by another if `arrived` says so.
    pub(crate) fn turn(
        &mut self,
        limit: Duration,
        mut arrived: impl FnMut(Arrival) -> bool,
    ) -> io::Result<bool> {
        let mut any = false;
        for event in self.epoll.wait(Some(limit))? {
            any = true;
            let connection = &mut self.connections[event.token as usize - self.first];
            let mut following = 0;
            // One moment serves as the arrival of these messages and the departure of the next.
            let mut now = None;
            if event.readable {
                let completed = &mut self.completed;
                connection.receive(&self.pattern, &mut self.scratch, |due| {
                    let at = *now.get_or_insert_with(Instant::now);
                    *completed += 1;
                    following += u64::from(arrived(Arrival { due, at }));
                })?;
            }
            if let Some(now) = now {
                (0..following).for_each(|_| connection.enqueue(now));
                self.started += following;
            }
            if event.writable || following > 0 {
                connection.flush(&self.pattern)?;
            }
        }
        Ok(any)
    }

    /// Waits for what is under way, and checks that it adds up.
    ///
    /// # Errors
    ///
    /// If more or less came back than was sent, or the server is stuck.
    pub(crate) fn drain(&mut self, mut arrived: impl FnMut(Arrival)) -> io::Result<()> {
        let began = Instant::now();
        let mut heard = began;
        while self.completed < self.started {
            let any = self.turn(PATIENCE, |arrival| {
                arrived(arrival);
                false
            })?;
            if any {
                heard = Instant::now();
            } else if heard.elapsed() > PATIENCE {
                return Err(stuck());
            }
            if began.elapsed() > DRAINING {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("what was under way took more than {} s", DRAINING.as_secs()),
                ));
            }
        }
        let came_back: u64 = self.connections.iter().map(Connection::completed).sum();
        let under_way: usize = self.connections.iter().map(Connection::under_way).sum();
        if came_back == self.started && under_way == 0 {
            return Ok(());
        }
        let counts = format!("{} sent, {came_back} came back", self.started);
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("the counts differ: {counts}")))
    }
}
