//! Watching files and directories (inotify).
//!
//! The kernel queues events in an inotify instance, which is read like a pipe (`op::PipeEnd`): by a
//! poll, and a call when there is something. Nothing is taken from it before an event is to be
//! returned, so a dropped future loses none.
//!
//! The kernel reports a rename as two events with a common cookie, nearly always one after the
//! other. They are joined here: the second is looked for behind the first in what has been read,
//! and if it is not there, awaited for a few milliseconds, once for all that has been read.
//!
//! The kernel names watches by small numbers, which it uses again one day. [`WatchId`]s are counted
//! by this library, and a table translates.

mod attempt;
mod event;
mod record;
mod watch_for;
mod watches;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use futures_util::stream::Stream;

pub use event::{WatchEvent, WatchId, Watched};
pub use watch_for::WatchFor;

use attempt::Attempt;
use record::Event;
use watches::{Watches, lock};

use super::path::{c_path, on_thread};
use crate::error::Describe;
use crate::op::{KernelTimeout, Op, PipeEnd, ReadPipeLease};
use crate::runtime::context;
use crate::sys::inotify;
use crate::task::coop;

/// How many events further on the second half of a rename is looked for.
const LOOK_AHEAD: usize = 64;

/// How long the first half of a rename waits for the second.
const PAIR_TIMEOUT: Duration = Duration::from_millis(10);

/// Watches files and directories, and streams what happens to them.
///
/// A directory is not watched with what is below it: watch each directory, and new ones when they
/// are [`Created`](WatchEvent::Created), and then list them, for entries may have been made before
/// the watch.
///
/// The kernel reports changes that are made on this machine through the file system: not those that
/// another machine makes to a network file system, and not writes to a memory map. It limits the
/// number of watchers and watches of a user (`/proc/sys/fs/inotify`).
///
/// # Cancel safety
///
/// A dropped [`next`](futures_util::StreamExt::next) loses no event.
///
/// # Example
///
/// ```
/// use annulus::fs::{WatchEvent, WatchFor, Watcher};
/// use futures_util::StreamExt;
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join(format!("annulus-doc-watch-{}", std::process::id()));
///     std::fs::create_dir(&path)?;
///     let mut watcher = Watcher::new()?;
///     let watch = watcher.watch(&path, WatchFor::CREATED).await?;
///     std::fs::write(path.join("new"), "content")?;
///     let Some(Ok(WatchEvent::Created(file))) = watcher.next().await else { panic!() };
///     assert_eq!((file.watch, file.name()), (watch, "new".as_ref()));
///     std::fs::remove_dir_all(&path)
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "inotify")]
pub struct Watcher {
    end: Rc<PipeEnd>,
    watches: Arc<Mutex<Watches>>,
    /// What was read and not returned.
    events: VecDeque<Event>,
    reading: Option<Op<ReadPipeLease>>,
    /// While the first event is half of a rename and the second is awaited.
    pairing: Option<Op<KernelTimeout>>,
    /// How many of the first events have been there while such a wait was over: they need no other.
    settled: usize,
}

impl Watcher {
    /// Creates a watcher that watches nothing yet.
    ///
    /// # Errors
    ///
    /// The kernel's: `EMFILE` if the process has no descriptor left, or the user has the most
    /// watchers (`max_user_instances`, 128 by default).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[track_caller]
    pub fn new() -> io::Result<Self> {
        let driver = context::driver();
        let fd = inotify::new().describe("inotify_init")?;
        Ok(Self {
            end: Rc::new(PipeEnd::nonblocking(&driver, fd)),
            watches: Arc::default(),
            events: VecDeque::new(),
            reading: None,
            pairing: None,
            settled: 0,
        })
    }

    /// Watches a file or directory.
    ///
    /// A thread makes the call, since looking the path up may wait for a disk.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if this watcher watches the same file or directory, under whatever path;
    /// `StorageFull` (`ENOSPC`) if the user has the most watches (`max_user_watches`). Otherwise
    /// the kernel's, such as `NotFound`, and `InvalidInput` for a path with a zero byte.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the path is not watched, or is no more soon after: events may come until its
    /// [`Unwatched`](WatchEvent::Unwatched).
    pub fn watch<P: AsRef<Path>>(
        &self,
        path: P,
        what: WatchFor,
    ) -> impl Future<Output = io::Result<WatchId>> + use<P> {
        let path = c_path(path.as_ref(), "watch").map(|it| (it, path.as_ref().to_path_buf()));
        let fd = self.end.fd().try_clone().describe("duplicate a watcher");
        let watches = Arc::clone(&self.watches);
        async move {
            let ((path, shown), fd) = (path?, fd?);
            let attempt = Attempt::new(fd);
            let add = attempt.call(watches, path, what);
            let added = on_thread(format_args!("watch {shown:?}"), add).await;
            attempt.conclude();
            added
        }
    }

    /// Ends a watch. What has happened before is still reported, then
    /// [`Unwatched`](WatchEvent::Unwatched).
    ///
    /// # Errors
    ///
    /// `NotFound` if the watch has ended.
    pub fn unwatch(&self, watch: WatchId) -> io::Result<()> {
        let ended = || io::Error::new(io::ErrorKind::NotFound, "the watch has ended");
        if !lock(&self.watches).has(watch) {
            return Err(ended());
        }
        match inotify::remove(self.end.fd().as_fd(), watch.number) {
            // The kernel has ended it, and the event is still to be read.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(ended()),
            removed => removed.describe("inotify_rm_watch"),
        }
    }

    /// Returns the next event.
    ///
    /// It is [`next`](futures_util::StreamExt::next) without the `Option`: there is no end.
    ///
    /// # Errors
    ///
    /// The kernel's, and if the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses no event.
    pub async fn next_event(&mut self) -> io::Result<WatchEvent> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<io::Result<WatchEvent>> {
        loop {
            if let Some(event) = self.events.front() {
                let may_wait = event.mask & inotify::IN_MOVED_FROM != 0;
                let is_late = self.settled > 0 || self.events.len() > LOOK_AHEAD;
                if !may_wait || is_late || self.has_pair() {
                    ready!(coop::poll_spend(context));
                    return Poll::Ready(Ok(self.take_event()));
                }
            }
            match self.poll_read(context) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    if self.events.is_empty() {
                        return Poll::Pending;
                    }
                    ready!(self.poll_pairing(context))?;
                    self.settled = self.events.len();
                    return Poll::Ready(Ok(self.take_event()));
                }
            }
        }
    }

    /// Reads what there is.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let driver = self.end.driver();
        let reading =
            self.reading.get_or_insert_with(|| Op::new(driver, ReadPipeLease::new(&self.end)));
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let lease = read?;
        let mut rest = &*lease;
        let mut watches = lock(&self.watches);
        while let Some((record, behind)) = inotify::split_first(rest) {
            self.events.push_back(Event::new(record, &mut watches));
            rest = behind;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until the second half of a rename is no more to be expected.
    fn poll_pairing(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let driver = self.end.driver();
        let pairing =
            self.pairing.get_or_insert_with(|| Op::new(driver, KernelTimeout::new(PAIR_TIMEOUT)));
        let over = ready!(Pin::new(pairing).poll(context));
        self.pairing = None;
        Poll::Ready(over)
    }

    /// Where the second half of the rename is that the first event begins.
    fn pair(&self) -> Option<usize> {
        let cookie = self.events.front()?.cookie;
        let is_pair =
            |event: &Event| event.mask & inotify::IN_MOVED_TO != 0 && event.cookie == cookie;
        let found = self.events.iter().skip(1).take(LOOK_AHEAD).position(is_pair);
        found.map(|index| index + 1)
    }

    fn has_pair(&self) -> bool {
        self.pair().is_some()
    }

    /// Takes the first event, and the second half of a rename with it.
    fn take_event(&mut self) -> WatchEvent {
        self.pairing = None;
        let is_half =
            self.events.front().is_some_and(|event| event.mask & inotify::IN_MOVED_FROM != 0);
        let pair = if is_half { self.pair() } else { None };
        // The second half may be one of the settled events or not.
        self.settled -= usize::from(pair.is_some_and(|index| index < self.settled));
        let pair = pair.and_then(|index| self.events.remove(index));
        self.settled = self.settled.saturating_sub(1);
        let event = self.events.pop_front().expect("there is an event");
        match pair {
            Some(pair) => WatchEvent::Moved { from: event.watched, to: pair.watched },
            None => event.into_public(),
        }
    }
}

impl Stream for Watcher {
    type Item = io::Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(context).map(Some)
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.fd().as_fd()
    }
}

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.end.fd().as_raw_fd()
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("fd", &self.as_raw_fd()).finish_non_exhaustive()
    }
}
