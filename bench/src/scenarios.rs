//! What is measured: each scenario makes cells, which [`compare`](crate::compare) runs.

mod churn;
mod echo;
mod fanout;
mod file;
mod idle;
mod kv;
mod latency;
mod scale;
mod stream;
#[cfg(feature = "web")]
pub(crate) mod web;
mod work;

pub(crate) use churn::Churn;
pub(crate) use echo::{Echo, Proxy};
pub(crate) use fanout::FanOut;
pub(crate) use file::Files;
pub(crate) use idle::Idle;
pub(crate) use kv::Kv;
pub(crate) use latency::Latency;
pub(crate) use scale::Scale;
pub(crate) use stream::stream;
pub(crate) use work::{Tasks, crossing, tasks, timers};

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use hdrhistogram::Histogram;

use crate::compare::Objection;
use crate::contenders::{Contender, Service};
use crate::load::watch::Window;
use crate::results::Sample;
use crate::server::Server;

/// A scenario's name and what it measures, for `list`.
pub(crate) const ALL: [(&str, &str); 20] = [
    ("quick", "the headline of echo and tasks, in a few minutes"),
    ("echo", "messages sent back: throughput, latency and CPU a message"),
    ("latency", "echo at a fixed rate, latency counted from when a message was due"),
    ("proxy", "echo through a TCP proxy; the echo server behind it shares the load's core"),
    ("fanout", "one writer, whose messages reach many readers"),
    ("churn", "connect, one message, close"),
    ("stream", "bulk through one connection, in both directions"),
    ("idle", "memory of an idle connection"),
    ("scale", "echo on one core, on two, and so on"),
    ("spread", "how evenly connections are spread over shards, for each way to do so"),
    ("udp", "packets a second and processor time a packet, echoed and received only"),
    ("kv", "a store with the protocol of Redis, beside redis-server"),
    ("http", "requests of HTTP, by clients that were not written here; the feature `web`"),
    ("tls", "the same over TLS; the feature `web`"),
    ("file", "reads, writes and syncs of a file, buffered and O_DIRECT, beside fio; a log"),
    ("tasks", "spawn, join, gather, yield, wake, locks and queues, without any I/O"),
    ("timers", "many sleeps, start and cancel, lateness"),
    ("hostile", "honest clients beside many hostile ones, at a server with little memory"),
    ("compare", "this build and another one of this program, in echo and tasks"),
    ("readme", "the figures of the project's README, as Markdown"),
];

/// The scenarios in which servers differ in what they can do, with what that is, for `list`.
pub(crate) const SERVICES: [(&str, Service); 4] = [
    ("echo", Service::Echo),
    ("proxy", Service::Proxy(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))),
    ("stream", Service::Source),
    ("fanout", Service::FanOut),
];

/// Why a contender is not there that does not serve.
pub(crate) const NO_SERVER: &str = "it has no such server here";

/// Objects to contenders that have no server for a service.
fn unless_serves(service: Service) -> Box<Objection> {
    Box::new(move |contender| (!contender.serves(service)).then(|| NO_SERVER.to_owned()))
}

/// Starts a contender on these cores and measures it; puts its last words to an error.
fn with_server<T>(
    contender: &dyn Contender,
    service: Service,
    cores: &[usize],
    measure: impl FnOnce(&Server) -> io::Result<T>,
) -> io::Result<T> {
    let mut server = Server::start(contender, service, cores)?;
    measure(&server).map_err(|error| server.explain(error))
}

/// Notes what the server used for each of its `operations`.
fn add_usage(sample: &mut Sample, window: &Window, operations: f64) {
    let microseconds = |time: std::time::Duration| time.as_secs_f64() * 1e6 / operations;
    sample.set("cpu us", microseconds(window.server.cpu));
    sample.set("user us", microseconds(window.server.user));
    sample.set("sys us", microseconds(window.server.system));
    if window.calls > 0 {
        sample.set("calls", window.calls as f64 / operations);
    }
    sample.set("switches", window.server.switches as f64 / operations);
    sample.set("server %", window.server_share() * 100.0);
    let waited = window.server.waited.as_secs_f64() / window.elapsed.as_secs_f64();
    sample.set("waited %", waited * 100.0);
    sample.set("load %", window.load_share() * 100.0);
    sample.load_bound = window.load_was_the_bottleneck();
}

/// Latencies in microseconds.
fn add_latency(sample: &mut Sample, latency: &Histogram<u64>) {
    let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    for (name, quantile) in [("p50 us", 0.5), ("p99 us", 0.99), ("p99.9 us", 0.999)] {
        sample.set(name, microseconds(latency.value_at_quantile(quantile)));
    }
    sample.set("max us", microseconds(latency.max()));
}

/// A number of bytes, as it is written on the command line.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.trim_end_matches(['i', 'B']) {
        trimmed if trimmed.ends_with(['k', 'K']) => (&trimmed[..trimmed.len() - 1], 1024),
        trimmed if trimmed.ends_with('M') => (&trimmed[..trimmed.len() - 1], 1024 * 1024),
        trimmed => (trimmed, 1),
    };
    let number: usize = digits.trim().parse().map_err(|_| format!("{text} is no size"))?;
    match number.checked_mul(unit) {
        Some(size) if (1..=16 * 1024 * 1024).contains(&size) => Ok(size),
        _ => Err("a size is between 1 and 16M".to_owned()),
    }
}

/// The size of a file: whole blocks of the largest kind.
fn bytes_of_file(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 1024 * 1024;
    let trimmed = text.trim_end_matches(['i', 'B']);
    let (digits, unit) = match trimmed.strip_suffix('G') {
        Some(digits) => (digits, 1024 * LEAST),
        None => (trimmed.strip_suffix('M').unwrap_or("no number"), LEAST),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text} is no size like 128M or 1G"))?;
    match number.checked_mul(unit) {
        Some(size) if (LEAST..=1024 * 1024 * LEAST).contains(&size) => Ok(size),
        _ => Err("a file has between 1M and 1024G".to_owned()),
    }
}

/// A number of bytes, for people.
pub(crate) fn size_name(size: usize) -> String {
    if size >= 1024 && size % 1024 == 0 {
        format!("{} KiB", size / 1024)
    } else {
        format!("{size} B")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(bytes("64"), Ok(64));
        assert_eq!(bytes("64B"), Ok(64));
        assert_eq!(bytes("16k"), Ok(16 * 1024));
        assert_eq!(bytes("256KiB"), Ok(256 * 1024));
        assert!(bytes("0").is_err());
        assert!(bytes("17M").is_err());
        assert!(bytes("many").is_err());
    }

    #[test]
    fn sizes_of_files_are_whole_megabytes() {
        assert_eq!(bytes_of_file("3M"), Ok(3 * 1024 * 1024));
        assert_eq!(bytes_of_file("2GiB"), Ok(2 * 1024 * 1024 * 1024));
        for text in ["0M", "4096", "1025G", "M", "x"] {
            assert!(bytes_of_file(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!(size_name(64), "64 B");
        assert_eq!(size_name(16 * 1024), "16 KiB");
    }
}
