//! A successor that has been started and is not ready yet. Dropped, it is killed.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use crate::blocking::to_thread;
use crate::service::environment::{HAND_OVER, OF_THIS_PROCESS, handed_over_text};
use crate::sys::inherited::{inode, pass_on};
use crate::time::sleep;

/// How long a process takes at most, after the kernel has closed its descriptors, to be waited for.
const END: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

pub(super) struct Successor {
    /// `None` once it has been waited for, or is ready.
    child: Option<Child>,
}

impl Successor {
    /// Starts a successor, which inherits the sockets. Returns it with the socket on which it
    /// reports. Blocks until the program runs.
    pub(super) fn start(
        mut command: Command,
        sockets: Vec<(String, OwnedFd)>,
    ) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        // A duplicate is none of the first three descriptors, which a command replaces.
        let theirs = OwnedFd::from(theirs).try_clone()?;
        let named = [(String::from("ready"), theirs)].into_iter().chain(sockets);
        let (names, descriptors): (Vec<_>, Vec<_>) = named.unzip();
        let mut given = Vec::with_capacity(names.len());
        for (name, fd) in names.iter().zip(&descriptors) {
            let number = fd.as_raw_fd();
            let inode = inode(number).ok_or_else(io::Error::last_os_error)?;
            given.push((number, inode, name.as_str()));
        }
        for name in OF_THIS_PROCESS {
            command.env_remove(name);
        }
        command.env(HAND_OVER, handed_over_text(given));
        pass_on(&mut command, descriptors);
        let child = command.spawn()?;
        // Closes this process's copies, so that the end of the successor is seen.
        drop(command);
        Ok((Self { child: Some(child) }, ours))
    }

    /// Waits for the end of a successor that is expected to have ended. One that has not is killed:
    /// then `None`.
    pub(super) async fn ended(mut self) -> io::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let mut waited = Duration::ZERO;
        while waited < END {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(Some(status));
            }
            sleep(PAUSE).await;
            waited += PAUSE;
        }
        self.kill().await;
        Ok(None)
    }

    /// Kills it, and waits for its end.
    pub(super) async fn kill(mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Without a thread it stays a zombie until this process ends.
        let _ = to_thread(move || child.kill().and_then(|()| child.wait())).await;
    }

    /// It is ready, and is not killed any more.
    pub(super) fn keep(mut self) {
        self.child = None;
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if child.kill().is_ok() {
            // Its end may take a moment. Without a thread it stays a zombie until this process
            // ends.
            let reaper = thread::Builder::new().name("annulus-reaper".into());
            drop(reaper.spawn(move || child.wait()));
        }
    }
}
