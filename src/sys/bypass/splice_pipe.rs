//! A pipe through which pages pass from a file to a socket without being copied.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use super::no_sigpipe::NoSigpipe;
use super::nonblocking::{outcome, unless_it_waits};
use super::pipe::{self, Waits};
use super::splice::splice_cached;
use crate::sys::Completion;

pub(crate) struct SplicePipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl SplicePipe {
    /// How many bytes it holds. More at a time is slower: they leave the cache.
    pub(crate) const CAPACITY: u32 = 64 * 1024;

    pub(crate) fn new() -> io::Result<Self> {
        let (read, write) = pipe::pair(Waits::Yes)?;
        Ok(Self { read, write })
    }

    /// Moves bytes of a file into the pipe, which has room for them, if they are in memory; see
    /// [`splice_cached`]. As there is room, it is the file that would have to be waited for if the
    /// call says so.
    pub(crate) fn splice_from(&self, file: RawFd, offset: u64, length: u32) -> Option<Completion> {
        splice_cached(file, offset, self.write_fd(), length).and_then(unless_it_waits)
    }

    /// The end that is written to.
    pub(crate) fn write_fd(&self) -> RawFd {
        self.write.as_raw_fd()
    }

    /// Moves at most `length` bytes from the pipe to a socket. Fails with `EAGAIN` if it has no
    /// room. More is to follow, if there is `more`: then the kernel may wait for a full packet.
    pub(crate) fn splice_to(&self, socket: RawFd, length: usize, more: bool) -> Completion {
        let _no_signal = NoSigpipe::new();
        let _no_wait = match NonBlocking::make(socket) {
            Ok(guard) => guard,
            Err(error) => return Completion::failed(error.raw_os_error().unwrap_or(libc::EIO)),
        };
        let flags = libc::SPLICE_F_NONBLOCK | if more { libc::SPLICE_F_MORE } else { 0 };
        let (from, none) = (self.read.as_raw_fd(), ptr::null_mut());
        // SAFETY: without offsets the call takes no pointers.
        outcome(|| unsafe { libc::splice(from, none, socket, none, length, flags) })
    }
}

/// While it lives, a socket answers instead of waiting, for which a splice to it has no flag. The
/// mode belongs to all descriptors of the socket, some of which may be others', so it lasts for one
/// call.
struct NonBlocking {
    fd: RawFd,
    /// The flags before, if they are to be set again.
    before: Option<libc::c_int>,
}

impl NonBlocking {
    fn make(fd: RawFd) -> io::Result<Self> {
        // SAFETY: the call takes no pointers.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        if flags < 0 {
            return Err(io::Error::last_os_error());
        }
        if flags & libc::O_NONBLOCK != 0 {
            return Ok(Self { fd, before: None });
        }
        // SAFETY: as above.
        if unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { fd, before: Some(flags) })
    }
}

impl Drop for NonBlocking {
    fn drop(&mut self) {
        if let Some(flags) = self.before {
            // SAFETY: the call takes no pointers.
            unsafe { libc::fcntl(self.fd, libc::F_SETFL, flags) };
        }
    }
}
