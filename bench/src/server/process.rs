//! A contender's process, as its parent sees it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddrV4;
use std::os::unix::fs::FileExt;
#[cfg(feature = "web")]
use std::path::Path;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::usage::Memory;
use super::{Calls, Usage};
use crate::contenders::{Contender, Service};
use crate::os::anonymous_file;
#[cfg(feature = "web")]
use crate::web::Protocol;

/// A server in a process of its own, which ends with this value.
pub(crate) struct Server {
    child: Guard,
    address: SocketAddrV4,
    calls: Calls,
    cores: usize,
}

impl Server {
    /// Starts a contender on these cores, with a thread for each if there are several. It listens
    /// when this returns.
    pub(crate) fn start(
        contender: &dyn Contender,
        service: Service,
        cores: &[usize],
    ) -> io::Result<Self> {
        let calls = Calls::new()?;
        let service = service.to_string();
        let inherited = calls.raw_fd().to_string();
        let arguments = ["serve", contender.hosted_as(), &service, "--calls", &inherited];
        Self::spawn(contender, &arguments, cores, calls)
    }

    /// Starts a contender's store on these cores.
    pub(crate) fn start_store(contender: &dyn Contender, cores: &[usize]) -> io::Result<Self> {
        Self::spawn(contender, &["serve-store", contender.hosted_as()], cores, Calls::new()?)
    }

    /// Starts a contender's server of HTTP, which may count its allocations where others count
    /// their calls.
    #[cfg(feature = "web")]
    pub(crate) fn start_web(
        contender: &dyn Contender,
        protocol: Protocol,
        site: &Path,
        counts_allocations: bool,
        cores: &[usize],
    ) -> io::Result<Self> {
        let (calls, site) = (Calls::new()?, site.to_string_lossy());
        let page = calls.raw_fd().to_string();
        let mut arguments =
            vec!["serve-web", contender.hosted_as(), protocol.name(), "--site", &site];
        if counts_allocations {
            arguments.extend(["--allocations", &page]);
        }
        Self::spawn(contender, &arguments, cores, calls)
    }

    fn spawn(
        contender: &dyn Contender,
        arguments: &[&str],
        cores: &[usize],
        calls: Calls,
    ) -> io::Result<Self> {
        let mut command = Command::new(program_of(contender)?);
        command.envs(contender.environment().iter().copied());
        command.args(arguments).args(["--cores", &list(cores)]);
        command.args(["--parent", &std::process::id().to_string()]);
        let mut child = Guard::spawn(command, Stdio::piped())?;
        let output = child.process.stdout.take().expect("it is piped");
        let mut hello = String::new();
        BufReader::new(output).read_line(&mut hello)?;
        match hello.trim().parse() {
            Ok(address) => Ok(Self { child, address, calls, cores: cores.len() }),
            Err(_) => Err(child.obituary("did not start")),
        }
    }

    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// How many threads serve.
    pub(crate) fn cores(&self) -> usize {
        self.cores
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.child.process.id())
    }

    /// The bytes of memory that are this server's alone.
    pub(crate) fn private_memory(&self) -> io::Result<u64> {
        Ok(Memory::of(self.child.process.id())?.private)
    }

    /// How many system calls it has made, if it tells.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.total()
    }

    /// Puts the server's own last words to an error that its client met.
    pub(crate) fn explain(&mut self, error: io::Error) -> io::Error {
        // A dying process takes a moment to be seen as dead.
        sleep(Duration::from_millis(50));
        match self.child.process.try_wait() {
            Ok(Some(_)) => self.child.obituary(&format!("ended ({error})")),
            _ => error,
        }
    }
}

/// Cores, as they are written on the command line.
pub(crate) fn list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// What a program wrote to its two outputs.
pub(crate) struct Words {
    pub(crate) said: String,
    pub(crate) complained: String,
}

/// Runs a contender's program as a child with hidden arguments until it ends, directly or under
/// another program, such as one that counts what it does.
pub(crate) fn run_to_end(
    contender: &dyn Contender,
    wrapper: &[&str],
    arguments: &[String],
    limit: Duration,
) -> io::Result<Words> {
    let hosting = program_of(contender)?;
    let mut command = match wrapper {
        [] => Command::new(hosting),
        [program, options @ ..] => {
            let mut command = Command::new(program);
            command.args(options).arg(hosting);
            command
        }
    };
    command.envs(contender.environment().iter().copied());
    command.args(arguments).args(["--parent", &std::process::id().to_string()]);
    let output = anonymous_file::create()?;
    let mut child = Guard::spawn(command, Stdio::from(output.try_clone()?))?;
    let deadline = Instant::now() + limit;
    loop {
        match child.process.try_wait()? {
            Some(status) if status.success() => {
                let (said, complained) = (contents(&output)?, contents(&child.complaints)?);
                return Ok(Words { said, complained });
            }
            Some(_) => return Err(child.obituary("failed")),
            None if Instant::now() > deadline => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("not done within {} s", limit.as_secs()),
                ));
            }
            None => sleep(Duration::from_millis(5)),
        }
    }
}

/// The program that hosts a contender: this one, mostly.
fn program_of(contender: &dyn Contender) -> io::Result<PathBuf> {
    contender.program().map_or_else(std::env::current_exe, |program| Ok(program.to_owned()))
}

/// A child that is ended when it is dropped.
struct Guard {
    process: Child,
    /// Its standard error.
    complaints: File,
}

impl Guard {
    fn spawn(mut command: Command, output: Stdio) -> io::Result<Self> {
        let complaints = anonymous_file::create()?;
        command.stdin(Stdio::null()).stdout(output).stderr(complaints.try_clone()?);
        let process = command.spawn().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{}: {error}", command.get_program().to_string_lossy()),
            )
        })?;
        Ok(Self { process, complaints })
    }

    /// The error for a child that is dead or about to be: what it said last.
    fn obituary(&mut self, fate: &str) -> io::Error {
        let _ = self.process.kill();
        let status = self.process.wait();
        let complaints = contents(&self.complaints).unwrap_or_default();
        let last = complaints.lines().rfind(|line| !line.trim().is_empty());
        match (last, status) {
            (Some(words), _) => io::Error::other(format!("{fate}: {words}")),
            (None, Ok(status)) => io::Error::other(format!("{fate}: {status}")),
            (None, Err(error)) => error,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All of a file that another process has written, whose position is shared with it.
fn contents(file: &File) -> io::Result<String> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
