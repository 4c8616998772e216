//! A child that was started.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{self, ExitStatus, Output};
use std::rc::Rc;
use std::time::Duration;

use super::communicate::exchange;
use crate::buf::IoBuf;
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::{ChildProcess, Op, WaitChild, reap_child, reap_left_children};
use crate::pipe::{Receiver, Sender};
use crate::runtime::context;
use crate::signal::SignalKind;
use crate::sys::pipe::{Waits, set_waits};
use crate::sys::process::ChildId;
use crate::task::coop;
use crate::time::sleep;

/// The pipe to a child's standard input.
pub type ChildStdin = Sender;

/// The pipe from a child's standard output.
pub type ChildStdout = Receiver;

/// The pipe from a child's standard error.
pub type ChildStderr = Receiver;

/// How long to wait until a child is asked again of which the kernel does not report the end.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// A child process.
///
/// Its pipes are there for the streams that were set to [`Stdio::piped`](process::Stdio::piped).
/// They can be taken, and read and written by other tasks.
///
/// Dropped while it runs, a child continues, unless [`Command::kill_on_drop`] was set, and its
/// pipes are closed. Its status is taken when it has ended, so it does not stay a zombie. In a
/// process that was forked, the children of its parent are left alone.
///
/// [`Command::kill_on_drop`]: super::Command::kill_on_drop
///
/// # Example
///
/// ```
/// use annulus::process::Command;
/// use std::process::Stdio;
///
/// annulus::run(async {
///     let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
///     let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
///     input.write_all("meow").await.0?;
///     assert_eq!(&*output.recv().await?, b"meow");
///     drop(input);
///     assert!(child.wait().await?.success());
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.subprocess.Process")]
pub struct Child {
    /// The pipe to its standard input. Dropping it is EOF for the child.
    pub stdin: Option<ChildStdin>,
    /// The pipe from its standard output.
    pub stdout: Option<ChildStdout>,
    /// The pipe from its standard error.
    pub stderr: Option<ChildStderr>,
    process: Rc<ChildProcess>,
    driver: Rc<Driver>,
    kill_on_drop: bool,
}

impl Child {
    /// Takes over a child that the standard library has started.
    ///
    /// # Errors
    ///
    /// If its pipes cannot be used. The child continues then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn from_std(mut child: process::Child) -> io::Result<Self> {
        let driver = context::driver();
        // One that was waited for has no number any more.
        let status = child.try_wait().describe("waitid")?;
        Self::with(driver, child, status, false)
    }

    pub(super) fn started(
        driver: Rc<Driver>,
        child: process::Child,
        kill_on_drop: bool,
    ) -> io::Result<Self> {
        Self::with(driver, child, None, kill_on_drop)
    }

    fn with(
        driver: Rc<Driver>,
        child: process::Child,
        status: Option<ExitStatus>,
        kill_on_drop: bool,
    ) -> io::Result<Self> {
        let process = match status {
            None => ChildProcess::new(ChildId::new(child.id())),
            Some(status) => ChildProcess::ended(child.id(), status),
        };
        let process = Rc::new(process);
        reap_left_children(&driver);
        let (stdin, stdout, stderr) = (child.stdin, child.stdout, child.stderr);
        // From here on a child whose pipes fail is dropped as any other.
        let mut child =
            Self { stdin: None, stdout: None, stderr: None, process, driver, kill_on_drop };
        let driver = &child.driver;
        child.stdin = own(stdin)?.map(|pipe| Sender::of_own(driver, pipe));
        child.stdout = own(stdout)?.map(|pipe| Receiver::of_own(driver, pipe));
        child.stderr = own(stderr)?.map(|pipe| Receiver::of_own(driver, pipe));
        Ok(child)
    }

    /// The child's process id. Once the child has been waited for, it may be another process's.
    #[doc(alias = "pid")]
    pub fn id(&self) -> u32 {
        self.process.id().number()
    }

    /// A descriptor that names the child, and becomes readable when it has ended. `None` where the
    /// process was out of descriptors.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.process.pidfd()
    }

    /// Waits until the child has ended. Its standard input is closed first, as it might wait for
    /// EOF.
    ///
    /// It does not wait for the pipes: they may hold what the child has written, and stay open in
    /// its own children. A child that writes more than its pipes hold, and whose output no task
    /// reads, does not end: see [`wait_with_output`](Self::wait_with_output).
    ///
    /// Once the child has ended, this returns its status at once, each time.
    ///
    /// # Errors
    ///
    /// `ECHILD` if the status was taken by other code; see the [module](super).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: the status is what the next wait returns.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.exited().await
    }

    /// Waits until the child has ended, and leaves its standard input open.
    ///
    /// Any number of tasks may wait, and all get the same status; the future borrows nothing.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// As for [`wait`](Self::wait).
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::process::Command;
    /// use annulus::spawn;
    ///
    /// annulus::run(async {
    ///     let child = Command::new("sleep").arg("10").spawn()?;
    ///     let watcher = spawn(child.exited());
    ///     child.terminate()?;
    ///     assert!(!watcher.await.unwrap()?.success());
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exited(&self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let (driver, process) = (Rc::clone(&self.driver), Rc::clone(&self.process));
        async move {
            poll_fn(|context| coop::poll_spend(context)).await;
            loop {
                if let Some(status) = process.try_status()? {
                    return Ok(status);
                }
                match WaitChild::new(&driver, &process) {
                    Some(wait) => Op::new(&driver, wait).await?,
                    None => sleep(ASK_AGAIN).await,
                }
                if let Some(status) = process.try_status()? {
                    return Ok(status);
                }
                // It has ended, but another process traces it, and has not seen that yet.
                sleep(ASK_AGAIN).await;
            }
        }
    }

    /// Returns the status of the child, or `None` if it has not ended. Does not wait, and leaves
    /// its standard input open.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    #[doc(alias = "returncode")]
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.process.try_status()
    }

    /// Collects what the child writes, and waits until it has ended.
    ///
    /// Collected are those of its streams that are pipes. Its standard input is closed first.
    ///
    /// The output is complete when all have closed the pipes, so this also waits for processes that
    /// the child has started and that have inherited them.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait), and those of the pipes.
    ///
    /// # Cancel safety
    ///
    /// Dropped, what was read is lost, and the child is dropped.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        self.communicate(Vec::new()).await
    }

    /// Writes the child's input, collects what it writes, and waits for its end.
    ///
    /// Writes and collects at the same time, and closes the input behind the last byte.
    ///
    /// Neither can wait for the other for ever, whatever the sizes. A child that ends, or closes
    /// its input, before it has read all of it is no error. Streams that are no pipes, or were
    /// taken, are empty in the output. About processes that inherit the pipes, see
    /// [`wait_with_output`](Self::wait_with_output).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is an input and its pipe was not set or has been taken; nothing was
    /// done then. As for [`wait`](Self::wait), and those of the pipes.
    ///
    /// # Cancel safety
    ///
    /// Dropped, a part of the input was written, and what was read is lost; the input is closed.
    /// The child is still there, to be killed or waited for.
    ///
    /// # Example
    ///
    /// A limit in time:
    ///
    /// ```
    /// use annulus::process::Command;
    /// use annulus::time::timeout;
    /// use std::process::Stdio;
    /// use std::time::Duration;
    ///
    /// annulus::run(async {
    ///     let mut child = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn()?;
    ///     match timeout(Duration::from_millis(5), child.communicate("")).await {
    ///         Ok(output) => println!("{:?}", output?),
    ///         Err(_elapsed) => child.kill().await?,
    ///     }
    ///     std::io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn communicate(&mut self, input: impl IoBuf) -> io::Result<Output> {
        let (stdout, stderr) = (self.stdout.as_mut(), self.stderr.as_mut());
        let (stdout, stderr) = exchange(self.stdin.take(), input, stdout, stderr).await?;
        // Both have met EOF.
        drop((self.stdout.take(), self.stderr.take()));
        let status = self.exited().await?;
        Ok(Output { status, stdout, stderr })
    }

    /// Kills the child (SIGKILL) and waits until it has ended.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal) and [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the child is killed.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Kills the child (SIGKILL), and does not wait for its end.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal).
    pub fn start_kill(&self) -> io::Result<()> {
        self.send_signal(SignalKind::kill())
    }

    /// Asks the child to end (SIGTERM).
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal).
    pub fn terminate(&self) -> io::Result<()> {
        self.send_signal(SignalKind::terminate())
    }

    /// Sends a signal to the child, and never to another process. One that has ended is sent none,
    /// which is no error.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` if the child has become another user's, and `InvalidInput` for what is no
    /// signal.
    pub fn send_signal(&self, signal: SignalKind) -> io::Result<()> {
        let sent = self.process.send_signal(signal.as_raw_value());
        sent.describe(format_args!("send {signal} to process {}", self.id()))
    }
}

/// Makes an end of a pipe non-blocking. Only this process has it, not the child.
fn own(pipe: Option<impl Into<OwnedFd>>) -> io::Result<Option<OwnedFd>> {
    let Some(pipe) = pipe.map(Into::into) else { return Ok(None) };
    set_waits(pipe.as_fd(), Waits::No).describe("fcntl(F_SETFL)")?;
    Ok(Some(pipe))
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.process.is_running() {
            return;
        }
        if self.kill_on_drop {
            // One that has become another user's cannot be killed.
            let _ = self.process.send_signal(SignalKind::kill().as_raw_value());
        }
        reap_child(&self.driver, Rc::clone(&self.process));
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("kill_on_drop", &self.kill_on_drop)
            .finish()
    }
}
