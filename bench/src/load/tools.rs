//! Clients of HTTP that were not written here: wrk and h2load, on the load's core.
//!
//! What they are asked for is a time in whole seconds. They count what they do from their start to
//! their end, and so is the server's processor time: connecting is a part of it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::watch::{Watch, Window};
use crate::os::{anonymous_file, clock, lifetime};
use crate::server::Server;
use crate::web::Protocol;

/// How much longer than it was asked to a program may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program, and how it asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tool {
    Wrk {
        connections: usize,
        /// Requests that are sent at once.
        pipeline: usize,
        /// Whether each request has a connection of its own.
        closes: bool,
        path: &'static str,
    },
    H2load {
        connections: usize,
        /// Requests that are under way on each.
        streams: usize,
    },
}

/// What a program says that it has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Told {
    /// Requests that were answered as they are to be.
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Latencies in microseconds, if it tells.
    #[serde(default)]
    pub(crate) latencies: Option<(f64, f64)>,
}

/// The end of a script for wrk: its own account, as JSON in the last line.
const ACCOUNT: &str = r#"
done = function(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format('\n{"requests": %d, "failed": %d, "seconds": %f, "latencies": [%f, %f]}\n',
        summary.requests - errors.status, failed, summary.duration / 1e6,
        latency:percentile(50), latency:percentile(99)))
end
"#;

impl Tool {
    /// The program's name, and the package that has it in Debian.
    pub(crate) fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Wrk { .. } => ("wrk", "wrk"),
            Self::H2load { .. } => ("h2load", "nghttp2-client"),
        }
    }

    /// Whether the program can be started.
    pub(crate) fn is_installed(self) -> bool {
        let mut command = Command::new(self.program().0);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok()
    }

    /// Runs the program.
    ///
    /// # Errors
    ///
    /// If it cannot be started or does not say what it has done. Requests that fail are no error.
    pub(crate) fn run(
        self,
        server: &Server,
        protocol: Protocol,
        time: Duration,
    ) -> io::Result<(Told, Window)> {
        let seconds = time.as_secs_f64().ceil().max(1.0) as u64;
        let scheme = if protocol == Protocol::Tls { "https" } else { "http" };
        let url = format!("{scheme}://{}", server.address());
        let mut script = anonymous_file::create()?;
        let mut command = Command::new(self.program().0);
        match self {
            Self::Wrk { connections, pipeline, closes, path } => {
                write_script(&mut script, pipeline)?;
                command.args(["-t1", "-c", &connections.to_string()]);
                command.args(["-d", &format!("{seconds}s"), "--timeout", "20s"]);
                command.args(["-s", &format!("/proc/self/fd/{}", script.as_raw_fd())]);
                if closes {
                    command.args(["-H", "Connection: close"]);
                }
                command.arg(format!("{url}{path}"));
            }
            Self::H2load { connections, streams } => {
                command.args(["-t1", "-c", &connections.to_string(), "-m", &streams.to_string()]);
                command.args(["-D", &seconds.to_string()]).arg(format!("{url}/"));
            }
        }
        lifetime::tie(&mut command, time + PATIENCE);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let before = clock::children_cpu_time();
        let watch = Watch::begin(server)?;
        let output = command.output()?;
        let mut window = watch.end()?;
        window.load_cpu = clock::children_cpu_time().saturating_sub(before);
        let said = String::from_utf8_lossy(&output.stdout);
        let told = match self {
            Self::Wrk { .. } => read_wrk(&said),
            Self::H2load { .. } => read_h2load(&said),
        };
        let told = told.filter(|told| told.requests > 0).ok_or_else(|| {
            let complained = String::from_utf8_lossy(&output.stderr);
            let words = said.lines().chain(complained.lines()).rfind(|line| !line.is_empty());
            let (name, _) = self.program();
            let text = format!("{name} ({}) had no answer: {words:?}", output.status);
            io::Error::other(text)
        })?;
        Ok((told, window))
    }
}

/// A file of no name is read through its descriptor, which a child inherits.
fn write_script(script: &mut File, pipeline: usize) -> io::Result<()> {
    if pipeline > 1 {
        // Without it, wrk makes its request only once.
        writeln!(
            script,
            "init = function(args)\n    batch = string.rep(wrk.format(), {pipeline})\nend\n\
             request = function()\n    return batch\nend"
        )?;
    }
    script.write_all(ACCOUNT.as_bytes())
}

fn read_wrk(said: &str) -> Option<Told> {
    let line = said.lines().rfind(|line| line.starts_with('{'))?;
    let mut told: Told = serde_json::from_str(line).ok()?;
    // It sometimes has none of requests that are sent several at once.
    told.latencies = told.latencies.filter(|(_, high)| *high > 0.0);
    Some(told)
}

/// From lines like `finished in 1.00s, 9 req/s, 9MB/s` and `requests: 9 total, 9 started, 9 done,
/// 9 succeeded, 0 failed, 0 errored, 0 timeout`.
fn read_h2load(said: &str) -> Option<Told> {
    let line = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let seconds = duration(line("finished in ")?.split(',').next()?)?;
    let counts = line("requests: ")?;
    let count = |name: &str| -> Option<u64> {
        let found = counts.split(", ").find_map(|one| one.trim().strip_suffix(name))?;
        found.trim().parse().ok()
    };
    let failed = count("failed")? + count("errored")? + count("timeout")?;
    Some(Told { requests: count("succeeded")?, failed, seconds, latencies: None })
}

/// A time like `1.50s` or `900.00ms`.
fn duration(text: &str) -> Option<f64> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let (number, unit) =
        units.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    Some(number.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_wrk_is_its_last_line_of_json() {
        let said = "Requests/sec: 12\n\n{\"requests\": 9, \"failed\": 2, \"seconds\": 1.5, \
                    \"latencies\": [10.0, 20.5]}\n";
        let told = read_wrk(said).unwrap();
        let latencies = Some((10.0, 20.5));
        assert_eq!(told, Told { requests: 9, failed: 2, seconds: 1.5, latencies });
        let without = said.replace("10.0", "0").replace("20.5", "0");
        assert_eq!(read_wrk(&without).unwrap().latencies, None);
        assert_eq!(read_wrk("unable to connect"), None);
    }

    #[test]
    fn failures_of_all_kinds_are_counted() {
        let said = "finished in 900.00ms, 9 req/s, 1KB/s\nrequests: 12 total, 12 started, 12 done, \
                    9 succeeded, 1 failed, 2 errored, 4 timeout\n";
        let told = read_h2load(said).unwrap();
        assert_eq!(told, Told { requests: 9, failed: 7, seconds: 0.9, latencies: None });
        assert_eq!(read_h2load("finished in 1.00s"), None);
    }
}
