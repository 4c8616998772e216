//! A child, and how it has ended.

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;

use crate::error::{self, Describe};
use crate::sys::errno::ECHILD;
use crate::sys::process::{ChildId, leave};

/// A child of this process.
///
/// One whose status was not taken when this is dropped is left to another runtime.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    /// `None` only while it is dropped. It stays when the child has ended: waits in the kernel may
    /// name it.
    id: Option<ChildId>,
    outcome: Cell<Option<Outcome>>,
}

/// How a child has ended.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Status(ExitStatus),
    /// Its status was taken by other code, or by the kernel.
    Lost,
}

impl ChildProcess {
    pub(crate) fn new(id: ChildId) -> Self {
        Self { id: Some(id), outcome: Cell::new(None) }
    }

    /// One that has ended, and whose status is known.
    pub(crate) fn ended(number: u32, status: ExitStatus) -> Self {
        let outcome = Cell::new(Some(Outcome::Status(status)));
        Self { id: Some(ChildId::ended(number)), outcome }
    }

    pub(crate) fn id(&self) -> &ChildId {
        self.id.as_ref().expect("a child has its name until it is dropped")
    }

    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.id().pidfd()
    }

    /// Whether it is a running child of this process, or a zombie, as far as is known.
    pub(crate) fn is_running(&self) -> bool {
        self.outcome.get().is_none() && self.id().is_ours()
    }

    /// How the child has ended, or `None` if it has not.
    ///
    /// # Errors
    ///
    /// If its status was taken by other code.
    pub(crate) fn try_status(&self) -> io::Result<Option<ExitStatus>> {
        if self.outcome.get().is_none() {
            let outcome = match self.id().try_take_status() {
                Ok(status) => status.map(Outcome::Status),
                Err(error) if error.raw_os_error() == Some(ECHILD) => Some(Outcome::Lost),
                Err(error) => return Err(error).describe("waitid"),
            };
            self.outcome.set(outcome);
        }
        match self.outcome.get() {
            None => Ok(None),
            Some(Outcome::Status(status)) => Ok(Some(status)),
            Some(Outcome::Lost) => Err(self.lost()),
        }
    }

    fn lost(&self) -> io::Error {
        let text = "its status was taken by other code that waits for all children, or is not \
                    kept, because this process ignores SIGCHLD";
        let cause = io::Error::from_raw_os_error(ECHILD);
        error::describe(format_args!("wait for process {}: {text}", self.id().number()), cause)
    }

    /// Sends a signal, unless the child has ended.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(crate) fn send_signal(&self, signal: i32) -> io::Result<()> {
        // Asked first: if other code has waited for it, its number may be another process's, which
        // matters where there is no pidfd.
        if !self.is_running() || !matches!(self.try_status(), Ok(None)) {
            return Ok(());
        }
        self.id().send_signal(signal)
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        if self.outcome.get().is_none() && id.is_ours() && matches!(id.try_take_status(), Ok(None))
        {
            leave(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::sys::signals::SIGKILL;

    #[test]
    #[cfg_attr(miri, ignore = "Miri starts no processes")]
    fn a_process_that_is_no_child_of_this_one_is_sent_no_signal() {
        // The shell has ended, so what it has started is no child of this process.
        let mut shell = Command::new("sh")
            .args(["-c", "exec 3<&0; cat <&3 & echo $!"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        let mut number = String::new();
        output.read_line(&mut number).unwrap();
        assert!(shell.wait().unwrap().success());
        // It has the number of a child that other code has waited for, and of which no pidfd could
        // be opened.
        let id = ChildId::ended(number.trim().parse().unwrap());
        let child = ChildProcess { id: Some(id), outcome: Cell::new(None) };
        child.send_signal(SIGKILL).unwrap();
        input.write_all(b"!").unwrap();
        drop(input);
        let mut answer = Vec::new();
        output.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"!", "it was killed");
        assert!(child.try_status().is_err(), "its end is not for this process");
    }
}
