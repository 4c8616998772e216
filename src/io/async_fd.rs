//! Waiting until a descriptor that this library has no type for is ready.
//!
//! Each wait is a poll SQE of its own. The SQE names the descriptor by its number while it waits in
//! the queue, and the kernel keeps the open file until the poll has ended. So the value that owns
//! the descriptor is dropped, or returned, only when no poll is in flight: no other file gets its
//! number under a poll.
//!
//! A value that is dropped with polls in flight is moved to what they share ([`PolledFd`]), which
//! the last of them drops.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::{error, fmt, io};

use super::readiness::{Interest, Ready};
use super::ready_events::ReadyEvents;
use crate::op::{Op, PollEvents, PollOnce, PolledFd};
use crate::runtime::context;
use crate::task::coop;

/// A descriptor of any kind, and waits until it is ready.
///
/// It is for descriptors that this library has no type for: inotify, timerfd, pidfd, devices, the
/// socket of a C library. The descriptor should be non-blocking, and is not made so. Connections
/// and listeners have types of their own in [`net`](crate::net), which are faster.
///
/// # Readiness
///
/// Every wait asks the kernel anew, by a one-shot poll (`IORING_OP_POLL_ADD`), which completes at
/// once if the descriptor is ready already. So a wait after a read that has not taken everything
/// returns at once, and nothing is remembered that would have to be cleared. That differs from
/// tokio's `AsyncFd`, which remembers what an edge-triggered epoll has reported until a call meets
/// [`WouldBlock`](io::ErrorKind::WouldBlock); code written for it works here, since
/// [`ReadyGuard::try_io`] does the same without the memory.
///
/// Readiness is what the kernel saw when it looked. Another task, thread or process may read in
/// between: a read must expect `WouldBlock`, and wait again. [`async_io`](Self::async_io) does.
///
/// Several tasks may wait, for the same or for different events. All of them are woken; no task
/// waits for another's read. A wait allocates nothing, unless it is dropped.
///
/// # Dropping
///
/// The value is dropped, and so the descriptor is usually closed, when no poll is in flight: at
/// once, or in the next turn of the loop if waits have just been dropped.
///
/// # Example
///
/// ```
/// use annulus::io::AsyncFd;
/// use std::io::{self, Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// annulus::run(async {
///     let (near, mut far) = UnixStream::pair()?;
///     near.set_nonblocking(true)?;
///     let near = AsyncFd::new(near)?;
///     far.write_all(b"hello")?;
///     let mut buffer = [0; 16];
///     let count = loop {
///         let ready = near.readable().await?;
///         match ready.try_io(|near| near.get_ref().read(&mut buffer)) {
///             Ok(count) => break count?,
///             Err(_would_block) => continue,
///         }
///     };
///     assert_eq!(&buffer[..count], b"hello");
///     io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AsyncFd<T: AsFd + 'static> {
    /// `None` only while it is dropped or taken out.
    value: Option<T>,
    polled: Rc<PolledFd>,
    /// Of the poll methods, one for each direction.
    reading: Cell<Option<Op<PollOnce>>>,
    writing: Cell<Option<Op<PollOnce>>>,
}

impl<T: AsFd + 'static> AsyncFd<T> {
    /// Takes over a value with a descriptor, which it must keep.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for files, directories and block devices: they are always ready, and a read
    /// may block all the same. The value is dropped then.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn new(value: T) -> io::Result<Self> {
        let driver = context::driver();
        let polled = Rc::new(PolledFd::new(driver, value.as_fd().as_raw_fd())?);
        let (reading, writing) = (Cell::new(None), Cell::new(None));
        Ok(Self { value: Some(value), polled, reading, writing })
    }

    /// Waits until there is something to read, EOF or an error.
    ///
    /// # Errors
    ///
    /// The kernel's, and if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn readable(&self) -> io::Result<ReadyGuard<'_, T>> {
        self.ready(Interest::READABLE).await
    }

    /// Waits until there is room to write, or an error.
    ///
    /// # Errors
    ///
    /// As for [`readable`](Self::readable).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn writable(&self) -> io::Result<ReadyGuard<'_, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// Waits for one of several events, or an error.
    ///
    /// # Errors
    ///
    /// As for [`readable`](Self::readable).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn ready(&self, interest: Interest) -> io::Result<ReadyGuard<'_, T>> {
        let reported = self.poll_op(interest).await?;
        Ok(ReadyGuard { fd: self, ready: Ready::new(reported) })
    }

    /// Streams what the descriptor becomes ready for, by one SQE for all.
    ///
    /// It is edge-triggered, as tokio's `AsyncFd` is: the first item is what is ready at the start,
    /// and then comes what becomes so. After each, call until [`WouldBlock`], or what is left is
    /// not reported again. Reports that come while no task takes them are one. The futures
    /// ([`readable`](Self::readable) and its kin) are level-triggered, and take an SQE each.
    ///
    /// [`WouldBlock`]: io::ErrorKind::WouldBlock
    ///
    /// # Errors
    ///
    /// The kernel's, and if the runtime has ended.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::io::{AsyncFd, Interest};
    /// use futures_util::StreamExt;
    /// use std::io::{self, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// annulus::run(async {
    ///     let (near, mut far) = UnixStream::pair()?;
    ///     let near = AsyncFd::new(near)?;
    ///     let mut events = near.events(Interest::READABLE);
    ///     far.write_all(b"hello")?;
    ///     assert!(events.next().await.unwrap()?.is_readable());
    ///     io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn events(&self, interest: Interest) -> ReadyEvents<'_, T> {
        ReadyEvents::new(self.get_ref(), PollEvents::new(&self.polled, interest.events()))
    }

    /// Tries a call until it does not return [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// Waits for readiness before each further try.
    ///
    /// The first try is made at once. The descriptor must be non-blocking.
    ///
    /// # Errors
    ///
    /// The call's, and those of [`ready`](Self::ready).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it makes no further call. It waits only after a call that has done nothing.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::io::{AsyncFd, Interest};
    /// use std::io::{self, Read, Write};
    /// use std::os::unix::net::UnixStream;
    ///
    /// annulus::run(async {
    ///     let (near, mut far) = UnixStream::pair()?;
    ///     near.set_nonblocking(true)?;
    ///     let near = AsyncFd::new(near)?;
    ///     far.write_all(b"hello")?;
    ///     let mut buffer = [0; 16];
    ///     let read = |mut near: &UnixStream| near.read(&mut buffer);
    ///     assert_eq!(near.async_io(Interest::READABLE, read).await?, 5);
    ///     io::Result::Ok(())
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            poll_fn(|context| coop::poll_spend(context)).await;
            match call(self.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.poll_op(interest).await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Polls until there is something to read, EOF or an error.
    ///
    /// Of the tasks that poll, only the last is woken; futures of [`readable`](Self::readable) are
    /// apart. A poll that an earlier call has begun, and that has completed since, is what the next
    /// call returns: its report may be old.
    ///
    /// # Errors
    ///
    /// As for [`readable`](Self::readable).
    pub fn poll_read_ready(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<ReadyGuard<'_, T>>> {
        self.poll_ready(&self.reading, Interest::READABLE, context)
    }

    /// Polls until there is room to write, or an error.
    ///
    /// Otherwise it is [`poll_read_ready`](Self::poll_read_ready).
    ///
    /// # Errors
    ///
    /// As for [`readable`](Self::readable).
    pub fn poll_write_ready(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<ReadyGuard<'_, T>>> {
        self.poll_ready(&self.writing, Interest::WRITABLE, context)
    }

    fn poll_ready(
        &self,
        polling: &Cell<Option<Op<PollOnce>>>,
        interest: Interest,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<ReadyGuard<'_, T>>> {
        // Not borrowed while it is polled: wakers are foreign code.
        let mut poll = polling.take().unwrap_or_else(|| self.poll_op(interest));
        match Pin::new(&mut poll).poll(context) {
            Poll::Pending => {
                drop(polling.replace(Some(poll)));
                Poll::Pending
            }
            Poll::Ready(reported) => {
                Poll::Ready(reported.map(|it| ReadyGuard { fd: self, ready: Ready::new(it) }))
            }
        }
    }

    fn poll_op(&self, interest: Interest) -> Op<PollOnce> {
        Op::new(self.polled.driver(), PollOnce::new(&self.polled, interest.events()))
    }

    /// The value.
    pub fn get_ref(&self) -> &T {
        self.value.as_ref().expect("the value is there until it is taken out")
    }

    /// The value, which must keep its descriptor.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("the value is there until it is taken out")
    }

    /// Returns the value, once no poll is in flight.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the value is dropped.
    pub async fn into_inner(mut self) -> T {
        drop((self.reading.take(), self.writing.take()));
        poll_fn(|context| coop::poll_spend(context)).await;
        poll_fn(|context| self.polled.poll_drained(context)).await;
        self.value.take().expect("the value is there until it is taken out")
    }
}

impl<T: AsFd + 'static> Drop for AsyncFd<T> {
    fn drop(&mut self) {
        drop((self.reading.take(), self.writing.take()));
        // Without polls this is the only reference, and the value is dropped with the fields.
        if Rc::strong_count(&self.polled) > 1 {
            if let Some(value) = self.value.take() {
                Rc::clone(&self.polled).keep(Box::new(value));
            }
        }
    }
}

impl<T: AsFd + 'static> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd + 'static> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug + 'static> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(self.get_ref()).finish()
    }
}

/// A descriptor that was ready when the kernel looked.
pub struct ReadyGuard<'a, T: AsFd + 'static> {
    fd: &'a AsyncFd<T>,
    ready: Ready,
}

impl<'a, T: AsFd + 'static> ReadyGuard<'a, T> {
    /// What the kernel has reported.
    pub fn ready(&self) -> Ready {
        self.ready
    }

    /// Makes a call, and tells a descriptor that was not ready after all from other outcomes.
    ///
    /// # Errors
    ///
    /// [`TryIoError`] if the call has returned [`WouldBlock`](io::ErrorKind::WouldBlock): wait
    /// again.
    pub fn try_io<R>(
        &self,
        call: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match call(self.fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(TryIoError(())),
            outcome => Ok(outcome),
        }
    }

    /// The descriptor.
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// The value.
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }
}

impl<T: AsFd + fmt::Debug + 'static> fmt::Debug for ReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyGuard").field("fd", self.fd).field("ready", &self.ready).finish()
    }
}

/// The descriptor was not ready after all: wait again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryIoError(());

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call would block: the descriptor was not ready after all; wait again")
    }
}

impl error::Error for TryIoError {}
