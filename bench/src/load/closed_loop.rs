//! A fixed number of messages under way: each that comes back is followed by the next.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::clients::Clients;
use super::watch::{Watch, Window};
use super::{PATIENCE, histogram, record, stuck};
use crate::server::Server;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// Messages under way on each connection.
    pub(crate) depth: usize,
    /// How long to run before the measured window.
    pub(crate) warm_up: Duration,
    /// How long to measure.
    pub(crate) window: Duration,
}

/// What was measured.
pub(crate) struct Outcome {
    /// Messages that came back within the window.
    pub(crate) messages: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) window: Window,
}

/// Runs the plan, and leaves nothing under way.
///
/// # Errors
///
/// If a connection fails, a byte differs, the counts do not add up, or the server is stuck.
pub(crate) fn run(plan: &Plan, server: &Server) -> io::Result<Outcome> {
    let mut clients = Clients::connect(server, plan.connections, plan.size)?;
    let mut latency = histogram();
    let now = Instant::now();
    for connection in 0..clients.len() {
        clients.send(connection, plan.depth, now)?;
    }
    turn_for(plan.warm_up, &mut clients, &mut latency)?;

    latency.reset();
    let before = clients.completed();
    let watch = Watch::begin(server)?;
    turn_for(plan.window, &mut clients, &mut latency)?;
    let window = watch.end()?;
    let messages = clients.completed() - before;

    clients.drain(|_| ())?;
    if messages == 0 {
        return Err(stuck());
    }
    Ok(Outcome { messages, latency, window })
}

fn turn_for(time: Duration, clients: &mut Clients, latency: &mut Histogram<u64>) -> io::Result<()> {
    let began = Instant::now();
    let mut heard = began;
    loop {
        let now = Instant::now();
        let Some(rest) = (began + time).checked_duration_since(now).filter(|rest| !rest.is_zero())
        else {
            return Ok(());
        };
        let any = clients.turn(rest.min(PATIENCE), |arrival| {
            record(latency, arrival.at - arrival.due);
            true
        })?;
        if any {
            heard = now;
        } else if now - heard > PATIENCE {
            return Err(stuck());
        }
    }
}
