//! The pauses of a listener whose accepts fail.
//!
//! accept(2) fails for many reasons that are not the listener's: descriptors or memory have run
//! out, a security module refuses, the network is down, a connection has been aborted. None of them
//! ends a listener. Where the next accept would fail the same way the listener pauses, longer each
//! time. The pause ends early when this runtime closes a socket, if descriptors had run out.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::driver::Driver;
use crate::error::{Incident, raw_os_error};
use crate::sys::errno;
use crate::time::{Sleep, sleep};

/// How many failures in a row are taken for those of single connections, and cause no pause.
const MAX_PASSING: u32 = 16;

/// After how many failures in a row a listener that is being closed gives up.
const MAX_IN_A_ROW: u32 = 8;

/// The failures of accepts since the last success, and the pause before the next try.
#[derive(Debug, Default)]
pub(super) struct AcceptBackoff {
    in_a_row: u32,
    length: Duration,
    pause: Option<Pause>,
    reported: Option<Instant>,
}

#[derive(Debug)]
struct Pause {
    sleep: Sleep,
    /// How many sockets this runtime had closed when the pause began, if one more ends it.
    closes: Option<u64>,
}

impl AcceptBackoff {
    const SHORTEST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(500);
    const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

    /// An accept has succeeded.
    pub(super) fn reset(&mut self) {
        (self.in_a_row, self.length, self.pause) = (0, Duration::ZERO, None);
    }

    /// Whether accepts have not failed too often to try again.
    pub(super) fn may_go_on(&self) -> bool {
        self.in_a_row < MAX_IN_A_ROW
    }

    /// An accept at `address` has failed.
    pub(super) fn note(&mut self, driver: &Driver, address: &str, error: &io::Error) {
        self.in_a_row += 1;
        let is_exhaustion = errno::is_exhaustion(error);
        if is_exhaustion {
            driver.counters().accept_stalls.increment();
        } else {
            driver.counters().accept_errors.increment();
            if errno::is_passing_accept_error(error) && self.in_a_row <= MAX_PASSING {
                return;
            }
        }
        self.length = (self.length * 2).clamp(Self::SHORTEST, Self::LONGEST);
        let closes = is_exhaustion.then(|| driver.close_watch().closes());
        self.pause = Some(Pause { sleep: sleep(self.length), closes });
        self.report(driver, address, error);
    }

    /// Reports the failure, at most once a second.
    fn report(&mut self, driver: &Driver, address: &str, error: &io::Error) {
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
    pub(super) fn poll_over(&mut self, driver: &Driver, context: &mut Context<'_>) -> Poll<()> {
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
