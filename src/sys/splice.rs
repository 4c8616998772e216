//! Moving bytes from socket to socket through a pipe, without taking them into this process's memory.
//!
//! Neither call waits, as pipe and sockets are non-blocking. (The ring's own splice always goes to a kernel
//! worker.)

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

/// How many bytes a pipe should hold, if the system allows it.
const CAPACITY: libc::c_int = 256 * 1024;

/// A pipe, and how much is in it.
pub(crate) struct Pipe {
    reads: OwnedFd,
    writes: OwnedFd,
    filled: usize,
}

impl Pipe {
    /// An empty pipe.
    ///
    /// # Errors
    ///
    /// If descriptors have run out; or if a broken connection would kill the process, as SIGPIPE is not
    /// ignored: a splice cannot be told to do without it.
    pub(crate) fn new() -> io::Result<Self> {
        if kills_by_sigpipe() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut ends = [0; 2];
        // SAFETY: the call writes two descriptors.
        let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
        if made < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: both have just been opened and belong to nobody else.
        let [reads, writes] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        // A smaller one does as well.
        // SAFETY: the call takes no pointers.
        unsafe { libc::fcntl(writes.as_raw_fd(), libc::F_SETPIPE_SZ, CAPACITY) };
        Ok(Self { reads, writes, filled: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Moves what has come on a socket into the pipe, which is empty, and says how much; nothing at the
    /// end. `None` if nothing has come.
    pub(crate) fn fill_from(&mut self, socket: RawFd) -> Option<io::Result<usize>> {
        debug_assert!(self.is_empty(), "that nothing has come could be that there is no room");
        let moved = splice(socket, self.writes.as_raw_fd(), CAPACITY as usize);
        if let Some(Ok(count)) = moved {
            self.filled += count;
        }
        moved
    }

    /// Moves what is in the pipe to a socket, as much as that takes. `None` if it takes nothing now.
    pub(crate) fn drain_to(&mut self, socket: RawFd) -> Option<io::Result<usize>> {
        let moved = splice(self.reads.as_raw_fd(), socket, self.filled);
        if let Some(Ok(count)) = moved {
            self.filled -= count;
        }
        moved
    }
}

fn splice(from: RawFd, to: RawFd, most: usize) -> Option<io::Result<usize>> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    let (here, there) = (ptr::null_mut(), ptr::null_mut());
    loop {
        // SAFETY: there are no offsets, and no memory of this process's.
        let moved = unsafe { libc::splice(from, here, to, there, most, flags) };
        if let Ok(count) = usize::try_from(moved) {
            return Some(Ok(count));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN) => return None,
            _ => return Some(Err(error)),
        }
    }
}

/// Whether writing to a broken connection kills this process.
fn kills_by_sigpipe() -> bool {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the call writes one `sigaction`.
    let asked = unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), &raw mut action) };
    asked < 0 || action.sa_sigaction == libc::SIG_DFL
}
