//! Messages at a fixed rate, whatever the server does.
//!
//! A closed loop waits for a slow server, and so asks it nothing just when it is slow: the pause
//! counts once, though many would have met it (coordinated omission). Here each message has a
//! moment at which it is due, and its latency counts from there, also if it could only be sent
//! later.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::clients::Clients;
use super::watch::{Watch, Window};
use super::{histogram, record};
use crate::server::Server;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// Messages a second, over all connections.
    pub(crate) rate: f64,
    /// How long to run before the measured window.
    pub(crate) warm_up: Duration,
    /// How long to measure.
    pub(crate) window: Duration,
}

/// What was measured.
pub(crate) struct Outcome {
    /// Latencies of the messages that were due in the window.
    pub(crate) latency: Histogram<u64>,
    /// How long after they were due messages were handed to the socket: the load's own lateness.
    pub(crate) lag: Histogram<u64>,
    pub(crate) window: Window,
}

/// Runs the plan, and leaves nothing under way.
///
/// # Errors
///
/// As for a closed loop. A server that is too slow for the rate is not an error: its latency grows.
pub(crate) fn run(plan: &Plan, server: &Server) -> io::Result<Outcome> {
    let mut clients = Clients::connect(server, plan.connections, plan.size)?;
    let (mut latency, mut lag) = (histogram(), histogram());
    let began = Instant::now();
    let (opens, ends) = (began + plan.warm_up, began + plan.warm_up + plan.window);
    let mut watch = None;
    let mut number = 0_u64;
    let mut due = began;
    while due < ends {
        let now = Instant::now();
        if watch.is_none() && now >= opens {
            watch = Some(Watch::begin(server)?);
        }
        while due <= now && due < ends {
            clients.send((number % plan.connections as u64) as usize, 1, due)?;
            if due >= opens {
                record(&mut lag, now - due);
            }
            number += 1;
            due = began + Duration::from_secs_f64(number as f64 / plan.rate);
        }
        // The load has a core to itself: it looks for arrivals without ever sleeping.
        clients.turn(Duration::ZERO, |arrival| {
            if arrival.due >= opens {
                record(&mut latency, arrival.at - arrival.due);
            }
            false
        })?;
    }
    let watch = watch.map_or_else(|| Watch::begin(server), Ok)?;
    let window = watch.end()?;
    clients.drain(|arrival| {
        if arrival.due >= opens {
            record(&mut latency, arrival.at - arrival.due);
        }
    })?;
    Ok(Outcome { latency, lag, window })
}
