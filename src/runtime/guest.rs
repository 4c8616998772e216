//! A runtime as the guest of another event loop, which waits for it and makes its turns.
//!
//! Between two turns the runtime is parked, as it is while its own event loop sleeps. Three things
//! make its descriptor readable then: the kernel, when it has something for the ring (the
//! descriptor is registered with it; `uring-sys-tests`, deferred_work_wakes_a_registered_counter);
//! another thread, by the [bell](super::bell); and other code of this thread that makes a task
//! ready, which is watched only then.
//!
//! A turn collects before it runs tasks, unlike those of `run_until`: what the outer event loop has
//! waited for is there. It submits before it returns.

use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;
use std::{fmt, io};

use super::enter::EnterGuard;
use super::handle::Handle;
use super::{Metrics, Runtime};
use crate::sys::eventfd::EventFd;
use crate::task::JoinHandle;

/// A [`Runtime`] whose turns another event loop makes, on the same thread.
///
/// Made by [`Runtime::into_guest`]. The outer event loop, such as that of a GUI, of an embedded
/// language or of another async runtime, does three things again and again: it makes a
/// [`turn`](Self::turn), waits until the [descriptor](Self::as_fd) is readable or the time that the
/// turn has returned is over, and does whatever else it has to do.
///
/// The thread is inside of the runtime during a turn only: between turns
/// [`is_running`](crate::is_running) is `false`, and [`spawn`](crate::spawn()) panics. Code between
/// the turns starts tasks by [`Guest::spawn`] and may wake them, which makes the descriptor
/// readable. Sockets and other objects of the runtime belong in its tasks: what they do in code
/// between the turns, their drop included, is submitted by the next turn, and nothing but the outer
/// event loop calls for that.
///
/// Dropping it ends the runtime as the drop of a [`Runtime`] does, within the same limits, by an
/// event loop of its own: the outer one does nothing meanwhile. [`Handle::stop`] has no effect on a
/// guest, which has no main task.
///
/// # Example
///
/// An outer event loop that has nothing else to do, on `poll(2)`:
///
/// ```
/// use std::os::fd::AsRawFd;
/// use std::time::Duration;
///
/// let guest = annulus::Runtime::new()?.into_guest()?;
/// let task = guest.spawn(async {
///     annulus::time::sleep(Duration::from_millis(2)).await;
/// });
/// loop {
///     let turn = guest.turn(Some(Duration::ZERO));
///     // Before the wait: with nothing left to be done, it is for ever.
///     if task.is_finished() {
///         break;
///     }
///     // In milliseconds, rounded up; a negative number is for ever.
///     let wait = turn.longest_wait().map_or(-1, |time| time.as_micros().div_ceil(1000) as i32);
///     let mut fds = [libc::pollfd { fd: guest.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
///     // A real loop waits for its own descriptors, too.
///     unsafe { libc::poll(fds.as_mut_ptr(), 1, wait) };
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "embed")]
#[doc(alias = "integrate")]
#[doc(alias = "run_once")]
pub struct Guest {
    runtime: Runtime,
}

/// What a [turn](Guest::turn) of a guest leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "the outer event loop must not wait for longer than this says"]
pub struct Turn {
    /// The time after which timers are due, or have to be looked at; `None` if there are none.
    ///
    /// Where the outer event loop counts in milliseconds it rounds up, as it would spin otherwise.
    pub next_timer: Option<Duration>,
    /// Whether there is more to do at once: the outer event loop looks at its own events, but does
    /// not wait before the next turn. The descriptor may not be readable then.
    pub is_ready: bool,
}

impl Turn {
    /// The longest time for which the outer event loop may wait for the descriptor: zero if
    /// [`is_ready`](Self::is_ready), else [`next_timer`](Self::next_timer). `None` is for ever.
    pub fn longest_wait(&self) -> Option<Duration> {
        if self.is_ready { Some(Duration::ZERO) } else { self.next_timer }
    }
}

impl Runtime {
    /// Makes this runtime the guest of another event loop of this thread.
    ///
    /// # Errors
    ///
    /// If no eventfd can be made, or none be registered with the ring. The runtime has ended then.
    ///
    /// # Example
    ///
    /// See [`Guest`].
    #[doc(alias = "as_raw_fd")]
    pub fn into_guest(self) -> io::Result<Guest> {
        let counter = EventFd::new()?;
        let watched = self.shared.driver.signal_by(counter.as_fd())?;
        // The first turn is due.
        counter.ring();
        self.shared.bell.set_outer(counter, watched);
        Ok(Guest { runtime: self })
    }
}

impl Guest {
    /// Runs a turn of the runtime's event loop: collects completions, fires timers, polls tasks
    /// that are ready, at most [`Builder::max_polls_per_turn`](crate::Builder::max_polls_per_turn)
    /// times, and submits what they have queued.
    ///
    /// If nothing is ready, it waits for the kernel, for another thread or for a timer, but no
    /// longer than `timeout`; `None` is for ever. With a `timeout` of zero, which is for an outer
    /// event loop that waits itself, it never waits.
    ///
    /// # Panics
    ///
    /// If the thread is inside of this or another runtime: in a task, that is, or in a future that
    /// `block_on` runs.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let guest = annulus::Runtime::new()?.into_guest()?;
    /// drop(guest.spawn(annulus::time::sleep(Duration::from_secs(60))));
    /// while guest.turn(Some(Duration::ZERO)).is_ready {}
    /// let turn = guest.turn(Some(Duration::from_millis(1)));
    /// assert!(turn.longest_wait().is_some());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "run_once")]
    #[doc(alias = "try_tick")]
    #[track_caller]
    pub fn turn(&self, timeout: Option<Duration>) -> Turn {
        let _inside = EnterGuard::begin(&self.runtime.shared);
        self.runtime.shared.turn_as_guest(timeout)
    }

    /// Spawns a task, which the following turns run. Makes the descriptor readable.
    ///
    /// # Example
    ///
    /// See [`Guest`].
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.runtime.spawn(future)
    }

    /// Returns a handle by which other threads start tasks on the runtime. Their calls make the
    /// descriptor readable.
    pub fn handle(&self) -> Handle {
        self.runtime.handle()
    }

    /// Returns what the runtime's driver has done so far.
    pub fn metrics(&self) -> Metrics {
        self.runtime.metrics()
    }
}

/// The descriptor that the outer event loop waits for: readable when a turn is due, but for timers.
///
/// It is an eventfd, or an epoll instance where the runtime is on the portable ring. It is
/// level-triggered until the next turn, and works edge-triggered, too. Do not read it: the turn
/// does.
impl AsFd for Guest {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.runtime.shared.bell.watched()
    }
}

impl AsRawFd for Guest {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The runtime's end has an event loop of its own, which finds what is ready without a bell.
        self.runtime.shared.executor.watch_ready(false);
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}
