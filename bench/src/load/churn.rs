//! Connections that live for one message.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::connection::Connection;
use super::pattern::Pattern;
use super::watch::{Watch, Window};
use super::{BATCH, PATIENCE, histogram, record, stuck};
use crate::os::epoll::Epoll;
use crate::os::socket;
use crate::server::Server;

/// The side that closes first keeps the port in TIME_WAIT. Each source address has ports of its
/// own, and this many addresses have enough.
const SOURCES: u64 = 32;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Connections that are open at any moment.
    pub(crate) concurrent: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// How long to run before the measured window.
    pub(crate) warm_up: Duration,
    /// How long to measure.
    pub(crate) window: Duration,
}

/// What was measured.
pub(crate) struct Outcome {
    /// Connections that were opened, served and closed within the window.
    pub(crate) connections: u64,
    /// From the connect to the whole answer.
    pub(crate) latency: Histogram<u64>,
    pub(crate) window: Window,
}

/// Runs the plan.
///
/// # Errors
///
/// If a connection fails, a byte differs, or the server is stuck.
pub(crate) fn run(plan: &Plan, server: &Server) -> io::Result<Outcome> {
    let mut churn = Churn::new(plan, server)?;
    for place in 0..plan.concurrent {
        let connection = churn.open(place)?;
        churn.connections.push(connection);
    }
    churn.turn_for(plan.warm_up)?;
    churn.latency.reset();
    let watch = Watch::begin(server)?;
    churn.turn_for(plan.window)?;
    let window = watch.end()?;
    Ok(Outcome { connections: churn.latency.len(), latency: churn.latency, window })
}

struct Churn<'a> {
    server: &'a Server,
    epoll: Epoll,
    pattern: Pattern,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    latency: Histogram<u64>,
    opened: u64,
}

impl<'a> Churn<'a> {
    fn new(plan: &Plan, server: &'a Server) -> io::Result<Self> {
        Ok(Self {
            server,
            epoll: Epoll::new(BATCH)?,
            pattern: Pattern::new(plan.size),
            connections: Vec::with_capacity(plan.concurrent),
            scratch: vec![0; plan.size + 1],
            latency: histogram(),
            opened: 0,
        })
    }

    /// Opens a connection that sends its message as soon as it can.
    fn open(&mut self, place: usize) -> io::Result<Connection> {
        let now = Instant::now();
        let source = Ipv4Addr::new(127, 0, 0, 2 + (self.opened % SOURCES) as u8);
        self.opened += 1;
        let stream = socket::start_connect(source, self.server.address())?;
        let mut connection = Connection::over(stream, place, &self.epoll)?;
        connection.enqueue(now);
        connection.flush(&self.pattern)?;
        Ok(connection)
    }

    fn turn_for(&mut self, time: Duration) -> io::Result<()> {
        let began = Instant::now();
        let mut heard = began;
        while began.elapsed() < time {
            let events: Vec<_> = self.epoll.wait(Some(time.min(PATIENCE)))?.collect();
            if !events.is_empty() {
                heard = Instant::now();
            } else if heard.elapsed() > PATIENCE {
                return Err(stuck());
            }
            for event in events {
                let place = event.token as usize;
                let connection = &mut self.connections[place];
                if event.writable {
                    connection.flush(&self.pattern)?;
                }
                if event.readable {
                    let latency = &mut self.latency;
                    connection.receive(&self.pattern, &mut self.scratch, |due| {
                        record(latency, due.elapsed());
                    })?;
                }
                if connection.under_way() == 0 {
                    // The old connection is closed when the new one takes its place.
                    self.connections[place] = self.open(place)?;
                }
            }
        }
        Ok(())
    }
}
