//! A listener for all of a signal.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use super::kind::SignalKind;
use crate::driver::Driver;
use crate::op::{Op, PollOnce};
use crate::runtime::context;
use crate::sys::poll::READABLE;
use crate::sys::signals::{SignalListener, expect_catchable};
use crate::task::coop;

/// Listens for a signal, from this call on.
///
/// Until the [`Signal`] is dropped the signal has no other effect: SIGTERM does not end the
/// process, and a signal that the process ignored before is reported, too. Every signal can be
/// listened for except SIGKILL and SIGSTOP, which no process can catch, and those that report a
/// fault of the running thread (SIGSEGV, SIGBUS, SIGFPE, SIGILL).
///
/// Any number of listeners may be there for a signal, in several runtimes and on several threads:
/// each one is told. A listener has an eventfd, which stays for a later one when it is dropped.
///
/// # Other handlers
///
/// As for [`ctrl_c`](super::ctrl_c): a handler that the program has installed before is not called
/// while there is a listener, and is restored afterwards, unless another one has been installed
/// meanwhile. Such a one stays; if it calls the handler that it has replaced, both are told. After
/// a fork, the child has no listener.
///
/// # Errors
///
/// `InvalidInput` for a signal that cannot be listened for, and if the process is out of
/// descriptors.
///
/// # Example
///
/// ```no_run
/// use annulus::signal::{SignalKind, signal};
///
/// # fn reload() {}
/// annulus::run(async {
///     let mut hangups = signal(SignalKind::hangup())?;
///     while hangups.recv().await.is_some() {
///         reload();
///     }
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.loop.add_signal_handler")]
#[doc(alias = "sigaction")]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let number = kind.as_raw_value();
    expect_catchable(number)?;
    let listener = SignalListener::of_all(number)?;
    Ok(Signal { kind, listener, received: 0, waiting: None })
}

/// A listener for a signal: a stream of its deliveries, without an end.
///
/// Each delivery is one item. The kernel delivers a signal that is sent while the same one is
/// pending once for both, except real-time signals, which it queues. Deliveries are counted from
/// the listener's creation on, also while no task waits and no runtime runs, so none is lost before
/// the first [`recv`](Self::recv). [`take_pending`](Self::take_pending) takes all of them at once.
///
/// Made by [`signal`]. Dropped, it no longer listens: when the last listener for a signal is gone,
/// the signal has its former effect again. This happens when it is dropped, not when its runtime
/// ends, and it may be used in several runtimes of its thread, one after the other.
///
/// # Example
///
/// ```
/// use annulus::signal::{SignalKind, signal};
///
/// annulus::run(async {
///     let mut resized = signal(SignalKind::window_change())?;
///     let id = std::process::id().to_string();
///     std::process::Command::new("kill").args(["-WINCH", &id]).status()?;
///     assert_eq!(resized.recv().await, Some(()));
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Signal {
    kind: SignalKind,
    listener: SignalListener,
    /// How many of the deliveries were taken.
    received: u64,
    /// The poll of the bell, and the driver that it belongs to.
    waiting: Option<(Rc<Driver>, Op<PollOnce>)>,
}

impl Signal {
    /// The signal that it listens for.
    pub fn kind(&self) -> SignalKind {
        self.kind
    }

    /// Waits for the next delivery.
    ///
    /// Returns `None` only if it has to wait in a runtime that is ending, or in a process that was
    /// forked from the one that listens: no signal of that one is reported there.
    ///
    /// # Panics
    ///
    /// If it has to wait and there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it takes nothing.
    pub async fn recv(&mut self) -> Option<()> {
        std::future::poll_fn(|context| self.poll_recv(context)).await
    }

    /// Polls for the next delivery, as [`recv`](Self::recv) does.
    ///
    /// Of the tasks that poll, only the last is woken.
    ///
    /// # Panics
    ///
    /// If it has to wait and there is no runtime on this thread.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        loop {
            if self.listener.heard() > self.received {
                ready!(coop::poll_spend(context));
                self.received += 1;
                return Poll::Ready(Some(()));
            }
            // The runtime that it last waited in may have ended.
            let waiting = self.waiting.take().filter(|(driver, _)| context::is_current(driver));
            let (driver, mut poll) = match waiting {
                Some(waiting) => waiting,
                None => {
                    if !self.listener.is_of_this_process() {
                        // The bell is the parent's: to clear it would take its signals.
                        return Poll::Ready(None);
                    }
                    // Cleared before the count is read: what comes after that rings again.
                    self.listener.clear();
                    if self.listener.heard() > self.received {
                        continue;
                    }
                    let driver = context::driver();
                    let bell = PollOnce::of_permanent(self.listener.bell(1), READABLE);
                    let poll = Op::new(&driver, bell);
                    (driver, poll)
                }
            };
            match Pin::new(&mut poll).poll(context) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => {
                    self.waiting = Some((driver, poll));
                    return Poll::Pending;
                }
            }
        }
    }

    /// Takes all deliveries that were not taken before, and returns their number. Does not wait.
    ///
    /// # Example
    ///
    /// Several requests to read the configuration again are answered by doing so once:
    ///
    /// ```no_run
    /// # use annulus::signal::{SignalKind, signal};
    /// # async fn reload() {}
    /// # async fn example() -> std::io::Result<()> {
    /// let mut hangups = signal(SignalKind::hangup())?;
    /// while hangups.recv().await.is_some() {
    ///     hangups.take_pending();
    ///     reload().await;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn take_pending(&mut self) -> u64 {
        let heard = self.listener.heard();
        heard - std::mem::replace(&mut self.received, heard)
    }
}

impl Stream for Signal {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<()>> {
        self.get_mut().poll_recv(context)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("kind", &self.kind).finish_non_exhaustive()
    }
}
