//! What keeps a listener from accepting for a while.
//!
//! accept(2) fails for many reasons that are not the listener's: descriptors or memory have run out, a
//! security module refuses, the network is gone, a connection has been aborted. None of them ends a
//! listener. Where the next accept would fail the same way there is a pause, which grows; it ends early
//! when this runtime closes a socket, if it is a descriptor that was missing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::Driver;
use crate::error::{Incident, raw_os_error};
use crate::sys::errno;
use crate::time::{Sleep, sleep};

/// How many failures in a row that may be of single connections are passed over without a pause.
const PASSING: u32 = 16;

/// How many failures in a row an end waits for.
const BEARABLE: u32 = 8;

/// The failures of accepts since the last success, and the pause before the next try.
#[derive(Debug, Default)]
pub(in crate::net) struct Trouble {
    in_a_row: u32,
    length: Duration,
    pause: Option<Pause>,
    reported: Option<Instant>,
}

#[derive(Debug)]
struct Pause {
    sleep: Sleep,
    /// How many sockets had been closed when it began, if one more ends it.
    closes: Option<u64>,
}

impl Trouble {
    const SHORTEST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(500);
    const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

    /// An accept has succeeded.
    pub(in crate::net) fn end(&mut self) {
        (self.in_a_row, self.length, self.pause) = (0, Duration::ZERO, None);
    }

    /// Whether it has not been going on for too long to wait for its end.
    pub(in crate::net) fn is_bearable(&self) -> bool {
        self.in_a_row < BEARABLE
    }

    /// An accept at `address` has failed.
    pub(in crate::net) fn note(&mut self, driver: &Driver, address: SocketAddr, error: &io::Error) {
        self.in_a_row += 1;
        let is_exhaustion = errno::is_exhaustion(error);
        if is_exhaustion {
            driver.counters().accept_stalls.increment();
        } else {
            driver.counters().accept_errors.increment();
            if errno::is_passing_accept_error(error) && self.in_a_row <= PASSING {
                return;
            }
        }
        self.length = (self.length * 2).clamp(Self::SHORTEST, Self::LONGEST);
        let closes = is_exhaustion.then(|| driver.close_watch().closes());
        self.pause = Some(Pause { sleep: sleep(self.length), closes });
        self.report(driver, address, error);
    }

    /// Tells of it, but not too often.
    fn report(&mut self, driver: &Driver, address: SocketAddr, error: &io::Error) {
        if self.reported.is_some_and(|last| last.elapsed() < Self::BETWEEN_REPORTS) {
            return;
        }
        self.reported = Some(Instant::now());
        let remedy = match raw_os_error(error) {
            Some(errno::EMFILE) => "; raise the limit with `ulimit -n` or LimitNOFILE=",
            Some(errno::ENFILE) => "; raise the limit with `sysctl fs.file-max`",
            _ => "",
        };
        let message = format!("accept on {address}: {error}{remedy}");
        (driver.incidents())(&Incident::AcceptDelayed { message });
    }

    /// Waits for the end of the pause, if there is one.
    pub(in crate::net) fn poll_over(
        &mut self,
        driver: &Driver,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.poll_over(driver, context));
            self.pause = None;
        }
        Poll::Ready(())
    }
}

impl Pause {
    fn poll_over(&mut self, driver: &Driver, context: &mut Context<'_>) -> Poll<()> {
        if self.closes.is_some_and(|closes| closes != driver.close_watch().closes()) {
            return Poll::Ready(());
        }
        let over = Pin::new(&mut self.sleep).poll(context);
        if over.is_pending() && self.closes.is_some() {
            driver.close_watch().wake_at_close(context.waker());
        }
        over
    }
}
