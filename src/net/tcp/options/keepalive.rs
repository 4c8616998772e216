//! How silent peers are probed.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::net::options::option::{Number, Setting, SocketOption, Switch};
use crate::sys;
use crate::sys::socket::{
    IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL,
};

const ON: SocketOption<Switch> = SocketOption::new(SOL_SOCKET, SO_KEEPALIVE, "keepalive");
const IDLE: SocketOption<Number> =
    SocketOption::new(IPPROTO_TCP, TCP_KEEPIDLE, "keepalive's idle time");
const INTERVAL: SocketOption<Number> =
    SocketOption::new(IPPROTO_TCP, TCP_KEEPINTVL, "keepalive's interval");
const PROBES: SocketOption<Number> =
    SocketOption::new(IPPROTO_TCP, TCP_KEEPCNT, "keepalive's probes");

/// How the kernel finds out that a silent peer is gone.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::net::Keepalive;
///
/// let keepalive = Keepalive::new().idle(Duration::from_secs(30));
/// assert_eq!(keepalive.probes, 9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// Silence before the first probe; rounded up to whole seconds.
    pub idle: Duration,
    /// Time between two probes; rounded up to whole seconds.
    pub interval: Duration,
    /// Unanswered probes before the connection counts as broken.
    pub probes: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self::new()
    }
}

impl Keepalive {
    /// The system's defaults: two hours, 75 seconds, nine probes.
    pub const fn new() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }

    /// Sets how long the peer is silent before the first probe.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets the time between two probes.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how many unanswered probes break the connection.
    #[must_use]
    pub const fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }
}

impl Keepalive {
    pub(super) fn settings(self) -> [Setting; 4] {
        [
            IDLE.setting(seconds(self.idle)),
            INTERVAL.setting(seconds(self.interval)),
            PROBES.setting(self.probes),
            // The last, so that it is not set by halves.
            ON.setting(true),
        ]
    }
}

fn seconds(duration: Duration) -> u32 {
    // The kernel refuses zero.
    sys::seconds(duration).max(1).unsigned_abs()
}

pub(in crate::net) fn set_keepalive(fd: &OwnedFd, keepalive: Option<Keepalive>) -> io::Result<()> {
    match keepalive {
        None => ON.set(fd, false),
        Some(keepalive) => keepalive.settings().iter().try_for_each(|setting| setting.set(fd)),
    }
}

pub(in crate::net) fn keepalive(fd: &OwnedFd) -> io::Result<Option<Keepalive>> {
    if !ON.get(fd)? {
        return Ok(None);
    }
    let time = |option: SocketOption<Number>| {
        option.get(fd).map(|seconds| Duration::from_secs(seconds.into()))
    };
    Ok(Some(Keepalive { idle: time(IDLE)?, interval: time(INTERVAL)?, probes: PROBES.get(fd)? }))
}
