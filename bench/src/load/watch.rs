//! The measured window.

use std::io;
use std::time::{Duration, Instant};

use crate::os::clock::thread_cpu_time;
use crate::server::{Server, Usage};

/// The beginning of a window.
pub(crate) struct Watch<'a> {
    server: &'a Server,
    began: Instant,
    load_cpu: Duration,
    usage: Usage,
    calls: u64,
}

/// What happened in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) elapsed: Duration,
    /// What the server used.
    pub(crate) server: Usage,
    /// The processor time of the load's thread.
    pub(crate) load_cpu: Duration,
    /// System calls of the server; zero if it does not tell.
    pub(crate) calls: u64,
}

impl<'a> Watch<'a> {
    pub(crate) fn begin(server: &'a Server) -> io::Result<Self> {
        let usage = server.usage()?;
        let calls = server.calls();
        Ok(Self { server, began: Instant::now(), load_cpu: thread_cpu_time(), usage, calls })
    }

    pub(crate) fn end(&self) -> io::Result<Window> {
        Ok(Window {
            elapsed: self.began.elapsed(),
            load_cpu: thread_cpu_time() - self.load_cpu,
            calls: self.server.calls() - self.calls,
            server: self.server.usage()? - self.usage,
        })
    }
}

impl Window {
    /// The share of the time that the server was on a processor; more than one if it has threads.
    pub(crate) fn server_share(&self) -> f64 {
        self.server.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// The share of the time that the load was on its processor.
    pub(crate) fn load_share(&self) -> f64 {
        self.load_cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// Whether the load was busy all the time while the server had time to spare: then what was
    /// measured is the load.
    pub(crate) fn load_was_the_bottleneck(&self) -> bool {
        self.load_share() > 0.95 && self.server_share() < 0.9
    }
}
