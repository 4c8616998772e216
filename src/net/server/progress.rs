//! Ends connections that make no progress: idle ones, and those whose peers are slow to take what
//! is sent.
//!
//! One task of the server looks at all its connections in regular checks and compares what each has
//! transferred with the check before. So an operation costs an addition, a connection has no timer,
//! and the checks cost one system call a connection while the peer has not taken all that was sent.
//! A connection is ended when enough checks in a row have found nothing: at the earliest when the
//! time has passed, and at the latest a quarter later. Time in which the event loop was not run
//! counts as one check, so peers are not blamed for it.
//!
//! While the server has no connections there are no checks.

use std::mem;
use std::rc::Rc;
use std::time::Duration;

use super::options::ProgressLimits;
use super::registry::Registry;
use crate::op::StreamSocket;
use crate::runtime::yield_now;
use crate::time::sleep;

/// How many checks there are in the shortest of the times.
const CHECKS: u32 = 4;

/// The least time between two checks.
const LEAST_PERIOD: Duration = Duration::from_millis(5);

/// The window in which [`min_rate`](ProgressLimits::min_rate) is judged, without a time for sends.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// How many connections are looked at before other tasks are polled.
const BATCH: usize = 512;

/// How often connections are looked at, and what ends them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checks {
    period: Duration,
    /// After how many checks in a row without any transfer a connection has been idle too long.
    idle: Option<u32>,
    /// After how many in a row in which the peer took nothing it is too slow.
    send: Option<u32>,
    /// In how many checks the peer must take at least `bytes`, or all that there were.
    window: u32,
    bytes: u64,
}

impl Checks {
    /// The checks that limits need; `None` if there are no limits.
    pub(super) fn of(limits: ProgressLimits) -> Option<Self> {
        let ProgressLimits { idle, send, min_rate } = limits;
        let window = send.or(min_rate.map(|_| RATE_WINDOW));
        let shortest = idle.into_iter().chain(window).min()?;
        let period = (shortest / CHECKS).max(LEAST_PERIOD);
        let checks = |time: Duration| {
            // A period was rounded down, by less than a nanosecond.
            let least = time.as_nanos().saturating_sub(u128::from(CHECKS) - 1);
            u32::try_from(least.div_ceil(period.as_nanos()).max(1)).unwrap_or(u32::MAX)
        };
        let rate = u128::from(min_rate.unwrap_or(0));
        let bytes = |window: Duration| {
            u64::try_from(rate.saturating_mul(window.as_millis()) / 1000).unwrap_or(u64::MAX)
        };
        Some(Self {
            period,
            idle: idle.map(checks),
            send: send.map(checks),
            window: window.map_or(u32::MAX, checks),
            bytes: window.map_or(0, bytes),
        })
    }
}

/// What a connection needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    Idle,
    SlowPeer,
}

/// What a check finds of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    received: u64,
    sent: u64,
    /// How much of `sent` the peer has not taken.
    untaken: u64,
    /// Whether a send has waited for room since the check before, or waits now.
    is_full: bool,
}

impl Found {
    /// What the peer has taken. Of a Unix socket it is an estimate.
    fn taken(&self) -> u64 {
        self.sent.saturating_sub(self.untaken)
    }
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// What the last check has found.
    last: Found,
    /// How many checks in a row have found no transfer.
    idle: u32,
    /// How many checks in a row have found that the peer took nothing of what there was.
    stuck: u32,
    /// How many checks ago the window of the rate began, and with what. Its `is_full` is of all
    /// checks since.
    window: u32,
    first: Found,
    /// Whether the connection has been ended.
    is_ended: bool,
}

impl Known {
    fn check(&mut self, checks: &Checks, found: Found) -> Verdict {
        let last = mem::replace(&mut self.last, found);
        let moves = found.received != last.received || found.sent != last.sent;
        // What leaves the kernel's buffer is being sent, too.
        let is_idle = !moves && found.untaken == last.untaken;
        let takes =
            found.untaken == 0 || found.untaken < last.untaken || found.taken() > last.taken();
        self.idle = if is_idle { self.idle + 1 } else { 0 };
        self.stuck = if takes { 0 } else { self.stuck + 1 };
        if self.is_too_slow(checks, found) || checks.send.is_some_and(|most| self.stuck >= most) {
            Verdict::SlowPeer
        } else if checks.idle.is_some_and(|most| self.idle >= most) {
            Verdict::Idle
        } else {
            Verdict::Fine
        }
    }

    /// Whether a window is over in which the peer was too slow. If there was not always more to be
    /// sent, it need not take more than there was when the window began: so a peer to which little
    /// is sent is never too slow.
    fn is_too_slow(&mut self, checks: &Checks, found: Found) -> bool {
        if found.untaken == 0 || checks.bytes == 0 {
            self.window = 0;
            return false;
        }
        let mut is_too_slow = false;
        self.first.is_full &= found.is_full;
        if self.window == checks.window {
            let taken = found.taken().saturating_sub(self.first.taken());
            let available = if self.first.is_full { u64::MAX } else { self.first.untaken };
            is_too_slow = taken < checks.bytes.min(available);
            self.window = 0;
        }
        if self.window == 0 {
            self.first = found;
        }
        self.window += 1;
        is_too_slow
    }
}

/// Looks at the connections of a server until they have ended and there will be no more.
pub(super) async fn watch(registry: Rc<Registry>, checks: Checks) {
    let mut known = Vec::new();
    loop {
        if !registry.has_connections().await {
            return;
        }
        sleep(checks.period).await;
        known.resize(registry.key_bound(), Known::default());
        for (key, known) in known.iter_mut().enumerate() {
            if let Some((socket, is_new)) = registry.look_at(key) {
                if is_new {
                    *known = Known { last: look(&socket, &Found::default()), ..Known::default() };
                } else if !known.is_ended && !socket.is_over() {
                    check(&socket, known, &checks);
                }
            }
            if key % BATCH == BATCH - 1 {
                yield_now().await;
            }
        }
    }
}

fn look(socket: &StreamSocket, last: &Found) -> Found {
    let (received, sent) = (socket.received_bytes(), socket.sent_bytes());
    // Once the peer has taken all, the kernel need not be asked again until more is sent.
    let is_full = socket.take_fullness();
    let has_all = last.untaken == 0 && last.sent == sent && !is_full;
    let untaken = if has_all { 0 } else { socket.untaken_bytes() };
    Found { received, sent, untaken, is_full }
}

fn check(socket: &StreamSocket, known: &mut Known, checks: &Checks) {
    let found = look(socket, &known.last);
    let counters = socket.driver().counters();
    match known.check(checks, found) {
        Verdict::Fine => return,
        Verdict::Idle => {
            counters.idle_timeouts.increment();
            socket.end_timed_out();
        }
        Verdict::SlowPeer => {
            counters.send_timeouts.increment();
            socket.abort_timed_out();
        }
    }
    known.is_ended = true;
}

#[cfg(test)]
mod tests {
    use std::iter::{once, repeat};

    use super::*;

    fn checks(idle: Option<u64>, send: Option<u64>, min_rate: Option<u32>) -> Checks {
        let (idle, send) = (idle.map(Duration::from_secs), send.map(Duration::from_secs));
        Checks::of(ProgressLimits { idle, send, min_rate }).unwrap()
    }

    /// Checks with these counts of received, sent and untaken bytes; the first is the beginning.
    /// Returns the last verdict and after how many checks it was given.
    fn verdict(
        checks: &Checks,
        is_full: bool,
        counts: impl IntoIterator<Item = (u64, u64, u64)>,
    ) -> (Verdict, usize) {
        let found = |(received, sent, untaken)| Found { received, sent, untaken, is_full };
        let mut found = counts.into_iter().take(1000).map(found);
        let mut known = Known { last: found.next().unwrap(), ..Known::default() };
        let mut last = (Verdict::Fine, 0);
        for found in found {
            last = (known.check(checks, found), last.1 + 1);
            if last.0 != Verdict::Fine {
                break;
            }
        }
        last
    }

    #[test]
    fn there_are_four_checks_in_the_shortest_time() {
        let both = checks(Some(60), Some(8), None);
        assert_eq!(
            (both.period, both.idle, both.send),
            (Duration::from_secs(2), Some(30), Some(4))
        );
        assert!(Checks::of(ProgressLimits::default()).is_none());
        let never = ProgressLimits { idle: Some(Duration::MAX), ..ProgressLimits::default() };
        assert_eq!(Checks::of(never).unwrap().idle, Some(4));
        let tiny = ProgressLimits { idle: Some(Duration::from_nanos(1)), ..never };
        let tiny = Checks::of(tiny).unwrap();
        assert_eq!((tiny.period, tiny.idle), (LEAST_PERIOD, Some(1)));
    }

    #[test]
    fn a_connection_without_transfers_is_idle_and_one_with_a_few_is_not() {
        let four = checks(Some(4), None, None);
        assert_eq!(verdict(&four, false, repeat((0, 0, 0))), (Verdict::Idle, 4));
        let after_one = once((0, 0, 0)).chain(repeat((1, 0, 0)));
        assert_eq!(verdict(&four, false, after_one), (Verdict::Idle, 5));
        assert_eq!(verdict(&four, false, (0..).map(|n| (n / 4, 0, 0))).0, Verdict::Fine);
        assert_eq!(verdict(&four, false, (0..).map(|n| (0, n / 4, 0))).0, Verdict::Fine);
    }

    #[test]
    fn a_connection_whose_peer_still_takes_what_was_sent_is_not_idle() {
        let four = checks(Some(4), None, None);
        let taking = (0..500).map(|n| (0, 5000, 5000 - n));
        assert_eq!(verdict(&four, false, taking).0, Verdict::Fine);
    }

    #[test]
    fn a_peer_that_takes_nothing_is_slow_whatever_it_sends() {
        let four = checks(None, Some(4), None);
        let sends = (0..).map(|n| (n, 100, 100));
        assert_eq!(verdict(&four, true, sends), (Verdict::SlowPeer, 4));
        // More is put into the kernel's buffer, and none is taken.
        let filling = (1..).map(|n| (0, n, n));
        assert_eq!(verdict(&four, false, filling), (Verdict::SlowPeer, 4));
        let drips = (0..).map(|n| (0, 100 + n, 100));
        assert_eq!(verdict(&four, true, drips).0, Verdict::Fine);
        assert_eq!(verdict(&four, false, repeat((0, 100, 0))).0, Verdict::Fine);
    }

    #[test]
    fn a_peer_that_drips_is_slow_if_there_is_a_rate() {
        let drip = || (0..).map(|n| (0, 1_000_000 + n, 1_000_000));
        for is_full in [false, true] {
            let judged = |checks| verdict(&checks, is_full, drip()).0;
            assert_eq!(judged(checks(None, Some(4), None)), Verdict::Fine);
            assert_eq!(judged(checks(None, Some(4), Some(2))), Verdict::SlowPeer);
            assert_eq!(judged(checks(None, Some(4), Some(1))), Verdict::Fine);
            assert_eq!(judged(checks(None, None, Some(2))), Verdict::SlowPeer);
        }
    }

    /// It takes all that the kernel holds, as often as the window allows.
    #[test]
    fn a_peer_that_takes_one_buffer_a_window_is_slow_if_more_waits() {
        let demanding = checks(None, Some(4), Some(1000));
        let buffers = || (0..).map(|n| (0, 500 * n, 500));
        assert_eq!(verdict(&demanding, true, buffers()).0, Verdict::SlowPeer);
        assert_eq!(verdict(&demanding, false, buffers()).0, Verdict::Fine);
    }

    /// A far peer to which ten bytes are sent a second: some are always under way.
    #[test]
    fn a_peer_to_which_little_is_sent_is_not_slow() {
        let little = (0..).map(|n| (0, 10 * n, 10));
        assert_eq!(verdict(&checks(None, Some(4), Some(1000)), false, little).0, Verdict::Fine);
    }
}
