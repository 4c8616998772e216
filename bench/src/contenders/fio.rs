//! The program `fio` with its io_uring engine, where it is installed: what others measure disks
//! with.
//!
//! It is the only one that does not check what it reads: the contents of the files are not its own.

use std::io;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Contender, Purpose, Service};
use crate::files::{Job, Kind, Latency, Report};
use crate::os::lifetime;
use crate::server::Calls;

/// It is given this much longer than it was told to run.
const ALLOWANCE: Duration = Duration::from_secs(30);

pub(super) struct Fio;

impl Contender for Fio {
    fn name(&self) -> &'static str {
        "fio"
    }

    fn form(&self) -> &'static str {
        "fio, io_uring engine, registered file and buffers, unchecked"
    }

    fn serves(&self, _service: Service) -> bool {
        false
    }

    fn serve(
        &self,
        _service: Service,
        _listener: TcpListener,
        _calls: &'static Calls,
    ) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is not a server"))
    }

    fn purpose(&self) -> Purpose {
        Purpose::Files
    }

    fn lacks_files(&self, job: &Job) -> Option<&'static str> {
        (job.kind == Kind::Sync)
            .then_some("its engine does not wait for the sync of one write before the next")
    }

    fn file(&self, job: &Job) -> io::Result<Report> {
        let mut command = Command::new("fio");
        command.args(options(job)).stdin(Stdio::null());
        lifetime::tie(&mut command, Duration::from_secs_f64(job.warm_up + job.seconds) + ALLOWANCE);
        let output = command.output().map_err(|error| {
            let text = match error.kind() {
                io::ErrorKind::NotFound => "it is not installed".to_owned(),
                _ => error.to_string(),
            };
            io::Error::new(error.kind(), text)
        })?;
        let said = String::from_utf8_lossy(&output.stdout);
        report(&said, job.kind).ok_or_else(|| {
            let complaints = String::from_utf8_lossy(&output.stderr);
            let last = complaints.lines().last().unwrap_or("it told no figures");
            io::Error::other(last.to_owned())
        })
    }
}

fn options(job: &Job) -> Vec<String> {
    let pattern = match job.kind {
        Kind::RandomRead => "randread",
        Kind::RandomWrite => "randwrite",
        Kind::SequentialRead => "read",
        Kind::SequentialWrite | Kind::Sync | Kind::GroupCommit => "write",
    };
    let milliseconds = |seconds: f64| format!("{:.0}ms", (seconds * 1000.0).max(1.0));
    vec![
        "--name=annulus-bench".to_owned(),
        "--ioengine=io_uring".to_owned(),
        "--registerfiles=1".to_owned(),
        "--fixedbufs=1".to_owned(),
        "--thread".to_owned(),
        "--time_based".to_owned(),
        "--norandommap".to_owned(),
        "--output-format=json".to_owned(),
        format!("--filename={}", job.path.display()),
        format!("--rw={pattern}"),
        format!("--bs={}", job.kind.block_size()),
        format!("--size={}", job.size),
        format!("--iodepth={}", job.depth),
        format!("--direct={}", u8::from(job.direct)),
        // What others find in the cache is not to be thrown out before.
        "--invalidate=0".to_owned(),
        format!("--ramp_time={}", milliseconds(job.warm_up)),
        format!("--runtime={}", milliseconds(job.seconds)),
    ]
}

/// Reads what it tells as JSON, before which there may be warnings.
fn report(said: &str, kind: Kind) -> Option<Report> {
    let text = &said[said.find('{')?..];
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let told = values.next()?.ok()?;
    let job = told.get("jobs")?.get(0)?;
    let side = job.get(if kind.reads() { "read" } else { "write" })?;
    let operations = side.get("total_ios")?.as_u64().filter(|&operations| operations > 0)?;
    let elapsed = Duration::from_millis(side.get("runtime")?.as_u64()?);
    let share = |key| Some(elapsed.mul_f64(job.get(key)?.as_f64()? / 100.0));
    let latency = side.get("clat_ns")?;
    let at = |key| {
        let nanoseconds = latency.get("percentile")?.get(key)?.as_u64()?;
        Some(Duration::from_nanos(nanoseconds))
    };
    Some(Report {
        operations,
        syncs: 0,
        elapsed,
        user: share("usr_cpu")?,
        system: share("sys_cpu")?,
        latency: Latency {
            p50: at("50.000000")?,
            p99: at("99.000000")?,
            p999: at("99.900000")?,
            max: Duration::from_nanos(latency.get("max")?.as_u64()?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_read_after_the_warnings() {
        let said = r#"fio: some warning
            {"jobs": [{"usr_cpu": 10.0, "sys_cpu": 50.0, "read": {"total_ios": 1000, "runtime": 200,
            "clat_ns": {"max": 9000, "percentile": {"50.000000": 1000, "99.000000": 2000,
            "99.900000": 3000}}}}]}"#;
        let report = report(said, Kind::RandomRead).unwrap();
        assert_eq!(report.operations, 1000);
        assert_eq!(report.elapsed, Duration::from_millis(200));
        assert_eq!(report.user, Duration::from_millis(20));
        assert_eq!(report.system, Duration::from_millis(100));
        assert_eq!(report.latency.p999, Duration::from_nanos(3000));
        assert!(super::report(said, Kind::RandomWrite).is_none());
        assert!(super::report("nothing", Kind::RandomRead).is_none());
    }
}
