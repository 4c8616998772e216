//! A counter in the kernel, by which threads and processes wake each other.
//!
//! A wait is a call that takes the count, and a poll while it is zero: the kernel never holds a
//! count for a future, so a dropped wait takes none.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::{fmt, io};

use super::{AsyncFd, Interest};
use crate::error::Describe;
use crate::sys::eventfd;
use crate::sys::pipe::{self, Waits};

/// A counter of the kernel (eventfd), which threads and processes add to, and tasks wait for.
///
/// Within a runtime [`sync::Event`](crate::sync::Event) and
/// [`sync::Semaphore`](crate::sync::Semaphore) cost no system calls, and between threads
/// [`sync::remote`](crate::sync::remote) passes values. This is for what speaks of descriptors:
/// other processes, C libraries, virtual machines.
///
/// # Example
///
/// ```
/// use annulus::io::EventFd;
///
/// annulus::run(async {
///     let counter = EventFd::new(0)?;
///     let handle = counter.handle();
///     std::thread::spawn(move || handle.add(3)).join().unwrap()?;
///     assert_eq!(counter.take().await?, 3);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "eventfd")]
pub struct EventFd {
    fd: AsyncFd<Arc<OwnedFd>>,
}

impl EventFd {
    /// Creates a counter, of which a [`take`](Self::take) takes all.
    ///
    /// # Errors
    ///
    /// The kernel's, such as `EMFILE`.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn new(initial: u32) -> io::Result<Self> {
        Self::of(eventfd::counter(initial, false).describe("eventfd")?)
    }

    /// Creates a semaphore: a [`take`](Self::take) takes one.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn semaphore(initial: u32) -> io::Result<Self> {
        Self::of(eventfd::counter(initial, true).describe("eventfd")?)
    }

    /// Takes over an eventfd, which must be non-blocking (`EFD_NONBLOCK`).
    ///
    /// It is not made so, as other processes may share it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it blocks. It is closed then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "from_owned_fd")]
    #[track_caller]
    pub fn from_std(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        let fd = fd.into();
        if pipe::waits(fd.as_fd()).describe("fcntl")? == Waits::Yes {
            let text = "the eventfd blocks: make it with EFD_NONBLOCK";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Self::of(fd)
    }

    #[track_caller]
    fn of(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { fd: AsyncFd::new(Arc::new(fd))? })
    }

    /// Waits until the count is not zero, and takes it; of a semaphore, one.
    ///
    /// Several tasks may wait: each count is taken by one of them.
    ///
    /// # Errors
    ///
    /// The kernel's, and if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it takes nothing.
    #[doc(alias = "read")]
    pub async fn take(&self) -> io::Result<u64> {
        let take = |fd: &Arc<OwnedFd>| eventfd::take(fd.as_fd());
        self.fd.async_io(Interest::READABLE, take).await.describe("read an eventfd")
    }

    /// Takes the count at once, if it is not zero; of a semaphore, one.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is zero.
    pub fn try_take(&self) -> io::Result<u64> {
        eventfd::take(self.as_fd())
    }

    /// Adds to the count, and waits until there is room if that would exceed `u64::MAX - 1`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for `u64::MAX`; otherwise the kernel's, and if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has added nothing.
    #[doc(alias = "write")]
    pub async fn add(&self, count: u64) -> io::Result<()> {
        let add = |fd: &Arc<OwnedFd>| eventfd::add(fd.as_fd(), count);
        self.fd.async_io(Interest::WRITABLE, add).await.describe("write an eventfd")
    }

    /// Returns a handle for other threads.
    pub fn handle(&self) -> EventFdHandle {
        EventFdHandle { fd: Arc::clone(self.fd.get_ref()) }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for EventFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventFd").field("fd", &self.as_raw_fd()).finish()
    }
}

/// Adds to an [`EventFd`] from any thread.
#[derive(Clone, Debug)]
pub struct EventFdHandle {
    fd: Arc<OwnedFd>,
}

impl EventFdHandle {
    /// Adds to the count. It does not wait.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if that would exceed `u64::MAX - 1`: the count is not zero, so nothing is lost
    /// if it only says that there is something. `InvalidInput` for `u64::MAX`.
    pub fn add(&self, count: u64) -> io::Result<()> {
        eventfd::add(self.fd.as_fd(), count)
    }
}

impl AsFd for EventFdHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
