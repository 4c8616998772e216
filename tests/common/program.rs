//! Programs run as children of a test: every wait for them is bounded, and none outlives the test.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::child::heeds_signals;
use super::patience::limit;

/// One of the examples, which cargo builds beside the tests.
pub(crate) fn example(name: &str) -> Command {
    let test = env::current_exe().expect("the path of this test");
    // PROFILE/deps/TEST and PROFILE/examples/NAME
    let profile = test.parent().and_then(Path::parent).expect("the directory of the profile");
    let path = profile.join("examples").join(name);
    assert!(path.exists(), "{} is missing: `cargo build --examples` makes it", path.display());
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// A child that is killed when the test is over, however it ends.
pub(crate) struct Guarded(Child);

impl Guarded {
    pub(crate) fn start(command: &mut Command) -> Self {
        heeds_signals(command);
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn signal(&self, signal: i32) {
        let id = libc::pid_t::try_from(self.0.id()).expect("a process id");
        // SAFETY: the call touches no memory. The child has not been waited for, as that takes
        // `&mut self` and ends its use, so the id is still its own.
        let result = unsafe { libc::kill(id, signal) };
        assert_eq!(result, 0, "kill: {}", io::Error::last_os_error());
    }
}

impl Deref for Guarded {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both do nothing if it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines that a program prints, as they come.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    pub(crate) fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let line = line.expect("reading from a pipe");
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }
}

impl Iterator for Lines {
    type Item = String;

    #[track_caller]
    fn next(&mut self) -> Option<String> {
        match self.0.recv_timeout(limit()) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("neither a line nor the end came"),
        }
    }
}

/// A running program, of which the lines are read.
pub(crate) struct Program {
    pub(crate) child: Guarded,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

/// What a program has left: the lines that were not read before, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = Guarded::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let stdout = Lines::of(child.stdout.take().expect("a pipe"));
        let stderr = Lines::of(child.stderr.take().expect("a pipe"));
        Self { child, stdout, stderr }
    }

    /// Writes to the program's input, for which there must be a pipe.
    pub(crate) fn type_in(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(text.as_bytes()).expect("the program reads its input");
    }

    pub(crate) fn end_input(&mut self) {
        self.child.stdin = None;
    }

    #[track_caller]
    pub(crate) fn ended(&mut self) -> Ended {
        let stdout = self.stdout.by_ref().collect();
        let stderr = self.stderr.by_ref().collect();
        // It has closed both, so its end is not far.
        let status = self.child.wait().expect("the child's status");
        Ended { status, stdout, stderr }
    }
}

/// The echo example, serving on a free port.
pub(crate) struct Echo {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
}

impl Echo {
    pub(crate) fn start() -> Self {
        Self::on("127.0.0.1:0")
    }

    pub(crate) fn on(address: &str) -> Self {
        Self::of(example("echo").arg(address))
    }

    /// The example as this command starts it.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut program = Program::start(command);
        let line = program.stdout.next().expect("the line that says where it listens");
        Self { program, address: listening_address(&line) }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// How many descriptors the server has open.
    pub(crate) fn descriptors(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.program.child.id());
        std::fs::read_dir(directory).expect("the server runs").count()
    }
}

/// The address in echo's first line.
pub(crate) fn listening_address(line: &str) -> SocketAddr {
    let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(';').next());
    let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
    address.parse().unwrap_or_else(|error| panic!("{address:?}: {error}"))
}

/// A connection of which no read or write takes for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream =
        TcpStream::connect_timeout(&address, limit()).expect("the server takes connections");
    stream.set_read_timeout(Some(limit())).unwrap();
    stream.set_write_timeout(Some(limit())).unwrap();
    stream
}

/// Sends some bytes to an echo server and waits until they are back.
#[track_caller]
pub(crate) fn exchange(stream: &mut TcpStream) {
    stream.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("the server answers");
    assert_eq!(&answer, b"ping");
}

/// Waits until a condition holds, by looking again and again.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit();
    while !condition() {
        assert!(Instant::now() < deadline, "still not so: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
