//! A fixed number of messages under way: each that comes back is followed by the next.
//!
//! The calling thread is the load, and measures what the server used. Where the load has more
//! cores, it has helpers there, with connections of their own.

use std::io;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::clients::Clients;
use super::watch::{Watch, Window};
use super::{PATIENCE, histogram, record, stuck};
use crate::os::{affinity, clock};
use crate::server::Server;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) connections: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// Messages under way on each connection.
    pub(crate) depth: usize,
    /// How long to run before the measured window.
    pub(crate) warm_up: Duration,
    /// How long to measure.
    pub(crate) window: Duration,
    /// The cores beside this thread's, each of which has a part of the connections.
    pub(crate) helpers: &'a [usize],
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
pub(crate) fn run(plan: &Plan<'_>, server: &Server) -> io::Result<Outcome> {
    // More threads than connections would have nothing to do.
    let threads = (plan.helpers.len() + 1).min(plan.connections.max(1));
    let connected = Barrier::new(threads);
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads)
            .map(|thread| {
                let part = Part { plan, thread, threads };
                let connected = &connected;
                scope.spawn(move || {
                    let pinned = affinity::pin(&[plan.helpers[thread - 1]]);
                    let share = part.connect(server, connected).and_then(|mut clients| {
                        part.measure(&mut clients, clock::thread_cpu_time, |began| {
                            Ok(clock::thread_cpu_time() - began)
                        })
                    });
                    pinned.and(share)
                })
            })
            .collect();
        let part = Part { plan, thread: 0, threads };
        let own = part.connect(server, &connected).and_then(|mut clients| {
            part.measure(&mut clients, || Watch::begin(server), |watch| watch?.end())
        });
        let mut outcome = own?;
        for helper in helpers {
            let share = helper.join().expect("a helper does not panic")?;
            outcome.messages += share.messages;
            outcome.latency.add(share.latency).expect("the bounds are the same");
            outcome.measured.add_load_thread(share.measured);
        }
        if outcome.messages == 0 {
            return Err(stuck());
        }
        let Share { messages, latency, measured: window } = outcome;
        Ok(Outcome { messages, latency, window })
    })
}

/// What one thread of the load does.
#[derive(Clone, Copy)]
struct Part<'a> {
    plan: &'a Plan<'a>,
    thread: usize,
    threads: usize,
}

/// What one thread of the load found.
struct Share<T> {
    messages: u64,
    latency: Histogram<u64>,
    measured: T,
}

impl Part<'_> {
    /// Connects, and waits until all have.
    fn connect(self, server: &Server, connected: &Barrier) -> io::Result<Clients> {
        let Self { plan, thread, threads } = self;
        let bound = |thread| plan.connections * thread / threads;
        let (first, end) = (bound(thread), bound(thread + 1));
        let clients = Clients::connect_from(server, first, end - first, plan.size);
        connected.wait();
        clients
    }

    /// Runs the plan; `begin` and `end` are called at the two ends of the window.
    fn measure<T, U>(
        self,
        clients: &mut Clients,
        begin: impl FnOnce() -> T,
        end: impl FnOnce(T) -> io::Result<U>,
    ) -> io::Result<Share<U>> {
        let plan = self.plan;
        let mut latency = histogram();
        let now = Instant::now();
        for connection in 0..clients.len() {
            clients.send(connection, plan.depth, now)?;
        }
        turn_for(plan.warm_up, clients, &mut latency)?;

        latency.reset();
        let before = clients.completed();
        let began = begin();
        turn_for(plan.window, clients, &mut latency)?;
        let measured = end(began)?;
        let messages = clients.completed() - before;

        clients.drain(|_| ())?;
        Ok(Share { messages, latency, measured })
    }
}

/// Turns until the time is over, and longer if nothing has come back by then: a server that gets no
/// processor in a short window is not stuck.
fn turn_for(time: Duration, clients: &mut Clients, latency: &mut Histogram<u64>) -> io::Result<()> {
    let began = Instant::now();
    let (mut heard, mut has_come) = (began, false);
    loop {
        let now = Instant::now();
        let rest = (began + time).saturating_duration_since(now);
        if rest.is_zero() && has_come {
            return Ok(());
        }
        let limit = if has_come { rest.min(PATIENCE) } else { PATIENCE };
        let any = clients.turn(limit, |arrival| {
            record(latency, arrival.at - arrival.due);
            has_come = true;
            true
        })?;
        if any {
            heard = now;
        } else if now - heard > PATIENCE {
            return Err(stuck());
        }
    }
}
