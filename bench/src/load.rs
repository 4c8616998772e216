//! The load: clients of the server under test, on one thread, on epoll.
//!
//! - [`pattern`] is what is sent, so that what comes back can be compared byte for byte.
//! - [`connection`] is one connection that sends messages and checks their echo.
//! - [`clients`] is many of them, and the loop that serves them.
//! - [`closed_loop`] keeps a number of messages under way and measures throughput and latency.
//! - [`open_loop`] sends at a fixed rate, whatever the server does, and measures from the moment at
//!   which each message was due.
//! - [`churn`] connects, exchanges one message, and closes, over and over.
//! - [`fanout`] sends on one connection, and receives the same on many.
//! - [`kv`] asks a store with the protocol of Redis.
//! - [`web`] asks a server of HTTP, and [`tools`] has programs that were not written here do so.
//! - [`bulk`] sends or receives as much as goes through one connection.
//! - [`watch`] is the measured window: who used how much processor time in it.

pub(crate) mod bulk;
pub(crate) mod churn;
pub(crate) mod clients;
pub(crate) mod closed_loop;
mod connection;
pub(crate) mod fanout;
pub(crate) mod kv;
pub(crate) mod open_loop;
pub(crate) mod pattern;
#[cfg(feature = "web")]
pub(crate) mod tools;
pub(crate) mod watch;
#[cfg(feature = "web")]
pub(crate) mod web;

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

/// A server that does not answer for this long counts as stuck. It is long because a shared machine
/// may pause for some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many events are taken from epoll at once.
const BATCH: usize = 512;

/// A histogram of nanoseconds, from one to a minute, in three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are right")
}

pub(crate) fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
}

fn stuck() -> io::Error {
    let seconds = PATIENCE.as_secs();
    io::Error::new(io::ErrorKind::TimedOut, format!("the server said nothing for {seconds} s"))
}

fn hung_up() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed a connection")
}
