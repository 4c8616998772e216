//! Python's asyncio, on its own loop and on uvloop: the model's original. A protocol class, which
//! is what asyncio offers for speed.

use std::io;
use std::net::TcpListener;
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::{Contender, Memory, NO_CALLS, Scaling, Service};
use crate::os::{descriptor, lifetime};
use crate::server::{Calls, LIFETIME};
use crate::workloads::{Measured, Workload};

const SCRIPT: &str = include_str!("python/server.py");

const WORK: &str = include_str!("python/work.py");

pub(super) fn loops() -> [Box<dyn Contender>; 2] {
    [
        Box::new(Python { module: "asyncio", form: "Python's asyncio, protocol class" }),
        Box::new(Python { module: "uvloop", form: "Python's asyncio on uvloop, protocol class" }),
    ]
}

struct Python {
    module: &'static str,
    form: &'static str,
}

impl Contender for Python {
    fn name(&self) -> &'static str {
        self.module
    }

    fn form(&self) -> &'static str {
        self.form
    }

    fn memory(&self) -> Memory {
        Memory::Shared("a new object for each message")
    }

    fn serves(&self, service: Service) -> bool {
        matches!(service, Service::Echo | Service::Sink | Service::FanOut)
    }

    fn scaling(&self) -> Scaling {
        Scaling::None("its interpreter runs one thread at a time")
    }

    fn serve(
        &self,
        service: Service,
        listener: TcpListener,
        _calls: &'static Calls,
    ) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = listener.into_raw_fd();
        descriptor::inherit(listener)?;
        let service = service.to_string();
        // This process becomes the interpreter; it returns only if there is none.
        let error = Command::new("python3")
            .args(["-c", SCRIPT, self.module, &service, &listener.to_string()])
            .exec();
        Err(io::Error::new(error.kind(), format!("python3: {error}")))
    }

    fn lacks_work(&self, workload: Workload) -> Option<&'static str> {
        match workload {
            Workload::SleepMany => Some("a million of its tasks take more than a gigabyte"),
            _ => workload.crosses().then_some(NO_CALLS),
        }
    }

    fn works_itself(&self) -> bool {
        false
    }

    fn work(&self, workload: Workload, operations: u64) -> io::Result<Measured> {
        let mut command = Command::new("python3");
        command.args(["-c", WORK, self.module, &workload.name(), &operations.to_string()]);
        lifetime::tie(&mut command, LIFETIME);
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| io::Error::new(error.kind(), format!("python3: {error}")))?;
        if !output.status.success() {
            let complaints = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(
                complaints.lines().last().unwrap_or("it failed").to_owned(),
            ));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
