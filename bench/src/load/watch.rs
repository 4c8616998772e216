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
    /// How many threads the load has, each on a core of its own.
    pub(crate) load_threads: usize,
    /// How many cores the server was given.
    pub(crate) server_cores: usize,
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
            load_threads: 1,
            server_cores: self.server.cores(),
        })
    }
}

impl Window {
    /// Another thread of the load used so much meanwhile.
    pub(crate) fn add_load_thread(&mut self, cpu: Duration) {
        self.load_threads += 1;
        self.load_cpu += cpu;
    }

    /// The share of the time that the server was on a processor; more than one if it has threads.
    pub(crate) fn server_share(&self) -> f64 {
        self.server.cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// The share of the time that the load was on its processor; more than one if it has threads.
    pub(crate) fn load_share(&self) -> f64 {
        self.load_cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// Whether the load was busy all the time while the server had time to spare: then what was
    /// measured is the load.
    pub(crate) fn load_was_the_bottleneck(&self) -> bool {
        let load = self.load_share() / self.load_threads as f64;
        let server = self.server_share() / self.server_cores as f64;
        load > 0.95 && server < 0.9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(server: u64, server_cores: usize, load: u64, load_threads: usize) -> Window {
        let ms = Duration::from_millis;
        Window {
            elapsed: ms(1000),
            server: Usage { cpu: ms(server), ..Usage::default() },
            load_cpu: ms(load),
            calls: 0,
            load_threads,
            server_cores,
        }
    }

    #[test]
    fn the_load_is_the_bottleneck_if_all_of_it_is_busy_and_the_server_is_not() {
        assert!(window(500, 1, 990, 1).load_was_the_bottleneck());
        assert!(!window(990, 1, 990, 1).load_was_the_bottleneck());
        // One of two cores each.
        assert!(window(1000, 2, 990, 1).load_was_the_bottleneck());
        assert!(!window(1000, 2, 990, 2).load_was_the_bottleneck());
    }
}
