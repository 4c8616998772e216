//! The processes of a run: each on its cores, ended with this one, and never waited for without a
//! limit.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{fs, thread};

use clap::Args;

use crate::os::{affinity, lifetime, limits};
use crate::server::{LIFETIME, Usage, kilobytes_of};

/// Where a child runs, and how urgently.
#[derive(Args, Clone, Debug)]
pub(super) struct Place {
    #[arg(long, value_delimiter = ',')]
    pub(super) cores: Vec<usize>,
    /// Whether it runs before ordinary processes.
    #[arg(long)]
    pub(super) urgent: bool,
}

impl Place {
    /// Moves the calling process there.
    pub(super) fn take(&self) -> io::Result<()> {
        affinity::pin(&self.cores)?;
        if self.urgent {
            // Only root may; without, the other load of the machine shows more.
            let _ = limits::be_urgent();
        }
        Ok(())
    }

    /// This program with a hidden command, to be run there.
    pub(super) fn command(&self, name: &str) -> io::Result<Command> {
        let cores: Vec<_> = self.cores.iter().map(ToString::to_string).collect();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name).args(["--cores", &cores.join(",")]);
        if self.urgent {
            command.arg("--urgent");
        }
        lifetime::tie(&mut command, LIFETIME);
        Ok(command)
    }
}

/// A child, which is killed when this is dropped.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a child. It ends with the thread that starts it, so that must be the main one.
    pub(super) fn start(name: &'static str, mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let input = child.stdin.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { name, child, input, lines })
    }

    /// The next line that it prints. Fails if there is none within `limit`, and says what the
    /// child is doing.
    pub(super) fn line(&mut self, limit: Duration) -> io::Result<String> {
        self.lines.recv_timeout(limit).map_err(|_| self.silence(&format!("in {limit:?}")))
    }

    fn silence(&mut self, when: &str) -> io::Error {
        let state = match self.child.try_wait() {
            Ok(Some(status)) => format!("it has ended: {status}"),
            _ => self.state(),
        };
        io::Error::other(format!("nothing from {} {when}; {state}", self.name))
    }

    /// The last line that it has printed and that was not returned.
    pub(super) fn latest(&mut self) -> Option<String> {
        self.lines.try_iter().last()
    }

    /// Sends a line, and returns the one that it prints next.
    pub(super) fn ask(&mut self, question: &str, limit: Duration) -> io::Result<String> {
        if writeln!(self.input, "{question}").is_err() {
            return Err(self.silence("any more"));
        }
        self.line(limit)
    }

    /// Fails if the child has ended.
    pub(super) fn check(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("{} has ended: {status}", self.name))),
        }
    }

    pub(super) fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// Its resident memory, now and at the most, in bytes.
    pub(super) fn resident(&self) -> io::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let bytes = |key| kilobytes_of(&status, key).unwrap_or(0) * 1024;
        Ok((bytes("VmRSS:"), bytes("VmHWM:")))
    }

    fn state(&self) -> String {
        let read = |file: &str| {
            let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id()));
            text.unwrap_or_default()
        };
        let status = read("status");
        let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or("gone");
        format!("{state}, waiting in {}", read("wchan"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
