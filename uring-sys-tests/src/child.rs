//! Tests that change their process run in one of their own.
//!
//! The test binary is started again with the test's name in [`CHILD_OF`]; there, the test runs
//! alone on the main thread, and its exit status carries the verdict back.

use std::env;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::ring::patience;

/// The environment variable that names the test to run in this process.
pub const CHILD_OF: &str = "URING_CONTRACT_CHILD_OF";

/// The exit status by which a child says that it skips; the reason is on its standard error.
const SKIPPED: i32 = 77;

/// How a test ended that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It ran, and the kernel is as the driver assumes.
    Held,
    /// It could not run, for this reason.
    Skipped(String),
}

impl From<()> for Verdict {
    fn from((): ()) -> Self {
        Verdict::Held
    }
}

/// The test that this process was started for, if it is a child.
pub fn role() -> Option<String> {
    env::var(CHILD_OF).ok()
}

/// Ends a child with its verdict.
pub fn report(verdict: &Verdict) -> ! {
    match verdict {
        Verdict::Held => std::process::exit(0),
        Verdict::Skipped(reason) => {
            eprint!("{reason}");
            std::process::exit(SKIPPED)
        }
    }
}

/// Runs the test `name` in a process of its own.
///
/// # Errors
///
/// When the child fails, is killed by a signal or does not end; the text says which.
///
/// # Panics
///
/// When no child can be started.
pub fn run(name: &str) -> Result<Verdict, String> {
    let binary = env::current_exe().expect("the path of this binary");
    let mut child = Command::new(binary)
        .env(CHILD_OF, name)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start a child");
    let mut errors = child.stderr.take().expect("the child's standard error");
    let reader = thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let ended = end_of(&mut child);
    let said = reader.join().expect("the reading thread").unwrap_or_default();
    match ended {
        Some(status) if status.success() => Ok(Verdict::Held),
        Some(status) if status.code() == Some(SKIPPED) => Ok(Verdict::Skipped(said)),
        Some(status) => Err(format!("the child ended with {status}:\n{said}")),
        None => Err(format!("the child did not end:\n{said}")),
    }
}

/// Waits for the end of a child, and kills it when it takes too long.
fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + 2 * patience();
    loop {
        if let Some(status) = child.try_wait().expect("wait for the child") {
            return Some(status);
        }
        if Instant::now() >= deadline {
            child.kill().expect("kill the child");
            child.wait().expect("wait for the killed child");
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
